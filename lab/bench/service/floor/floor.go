package floor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connections = 5 // the services' default
	stopTime    = 5 * time.Second
)

// Config configures what to serve.
type Config struct {
	Addr     string // to listen on
	Database string // URL of a database with the tables of the service that is stood in for
	Users    string // base URL of who serves users; asked before an order is placed
}

// Run serves until ctx is done.
func Run(ctx context.Context, cfg Config) error {
	pc, err := pgxpool.ParseConfig(cfg.Database)
	if err != nil {
		return errors.New("the database's URL is malformed") // err may show the password
	}
	pc.MaxConns = connections
	db, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer db.Close()
	l, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return serve(ctx, l, &http.Server{Handler: New(db, cfg.Users)})
}

func serve(ctx context.Context, l net.Listener, s *http.Server) error {
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := s.Shutdown(ctx)
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// New returns the handler of GET /users/:id, POST /users and POST /orders over db;
// users is the base URL that the last one asks.
func New(db *pgxpool.Pool, users string) http.Handler {
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

// newTransport is net/http's own, but for its two connections kept per host: with
// those the floor would mostly dial.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = t.MaxIdleConns
	return t
}

func broken(c *gin.Context, err error) {
	c.JSON(http.StatusInternalServerError, gin.H{"error": err.Error()})
}
