// Command baseline serves the least that the services could be: the same SQL on the same
// tables in bare gin and pgx, with no authentication, no validation beyond what is
// missing, no ids for tracing, no metrics, no limits, no breaker and no relay. It runs
// as a process, so that its CPU is counted as that of a service is. The database's URL
// is in BASELINE_DATABASE, where no list of processes shows the password.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/go-troika/troika/pkg/env"
)

const (
	connections = 5 // the services' default
	stopTime    = 5 * time.Second
)

type settings struct {
	Database env.Secret `env:"BASELINE_DATABASE"` // URL of a database with a service's tables
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on")
	users := flag.String("users", "", "base URL of users, where an order looks up its user")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *users, os.Environ()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, addr, users string, environ []string) error {
	s, err := env.Load[settings](environ)
	if err != nil {
		return err
	}
	cfg, err := pgxpool.ParseConfig(s.Database.Reveal())
	if err != nil {
		return errors.New("BASELINE_DATABASE is malformed") // err may show the password
	}
	cfg.MaxConns = connections
	db, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer db.Close()
	server := &http.Server{Addr: addr, Handler: handler(db, users)}
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	})
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func handler(db *pgxpool.Pool, users string) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.GET("/readyz", func(c *gin.Context) { c.Status(http.StatusOK) })
	u := &userStore{db}
	e.GET("/users/:id", u.show)
	e.POST("/users", u.create)
	o := &orderStore{db: db, users: users, client: &http.Client{Transport: newTransport()}}
	e.POST("/orders", o.create)
	return e
}

// newTransport returns net/http's own, but for its two connections kept per host: with
// those the baseline would mostly dial.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = t.MaxIdleConns
	return t
}

func broken(c *gin.Context, err error) {
	c.JSON(http.StatusInternalServerError, gin.H{"error": err.Error()})
}
