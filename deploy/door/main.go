// Command door holds the published ports of the composition and passes every
// connection on to one replica of the service behind it.
//
// A host port belongs to one container, so a service that publishes 8081 itself
// cannot be scaled. With the door in front, "docker compose up --scale
// user-service=3" needs no other setting, and the three share the port. The door
// reads no byte of what passes, so HTTP, its timeouts and its errors stay the
// services' own.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "door:", err)
		os.Exit(1)
	}
}

// run opens one port for each "listen=target" argument until ctx is done, or,
// when the first argument is "health", answers whether all those ports are open.
func run(ctx context.Context, args []string, log io.Writer) error {
	if len(args) > 0 && args[0] == "health" {
		return health(ctx, args[1:])
	}
	leaves, err := parse(args)
	if err != nil {
		return err
	}
	return serve(ctx, leaves, log)
}

// leaf is one port of the door: what is accepted at listen goes to target.
type leaf struct{ listen, target string }

func parse(args []string) ([]leaf, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("want at least one listen=target, such as :8081=user-service:8081")
	}
	leaves := make([]leaf, 0, len(args))
	for _, arg := range args {
		listen, target, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("%q: want listen=target", arg)
		}
		for _, address := range []string{listen, target} {
			if _, _, err := net.SplitHostPort(address); err != nil {
				return nil, fmt.Errorf("%q: %w", arg, err)
			}
		}
		leaves = append(leaves, leaf{listen, target})
	}
	return leaves, nil
}

func health(ctx context.Context, args []string) error {
	leaves, err := parse(args)
	if err != nil {
		return err
	}
	var dialer net.Dialer
	for _, l := range leaves {
		conn, err := dialer.DialContext(ctx, "tcp", l.listen)
		if err != nil {
			return err
		}
		conn.Close()
	}
	return nil
}
