// Command floor serves bench's floor as a process of its own, so that its CPU is
// counted as that of a service is. The database's URL is in FLOOR_DATABASE, where
// no list of processes shows the password.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-troika/troika/lab/bench/service/floor"
	"github.com/go-troika/troika/pkg/env"
)

type settings struct {
	Database env.Secret `env:"FLOOR_DATABASE"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Environ()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args, environ []string) error {
	var cfg floor.Config
	fs := flag.NewFlagSet("floor", flag.ContinueOnError)
	fs.StringVar(&cfg.Addr, "addr", "127.0.0.1:0", "address to listen on")
	fs.StringVar(&cfg.Users, "users", "", "base URL of who serves users")
	if err := fs.Parse(args); err != nil {
		return err
	}
	s, err := env.Load[settings](environ)
	if err != nil {
		return err
	}
	cfg.Database = s.Database.Reveal()
	return floor.Run(ctx, cfg)
}
