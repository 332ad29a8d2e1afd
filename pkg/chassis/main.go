package chassis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
)

// Version is the release, set when linking
// (-ldflags "-X github.com/go-troika/troika/pkg/chassis.Version=v1.2.3").
var Version string

// App is a service: what differs between services. C is its configuration.
type App[C Configuration] struct {
	// Defaults are the service's own values of variables of Config, as
	// "KEY=value"; at least SERVICE_NAME, PORT and ADMIN_PORT.
	Defaults []string
	// Schema holds the service's migrations.
	Schema fs.FS
	// OpenAPI describes the service's routes; it is served under /openapi.yaml and /docs.
	OpenAPI []byte
	// Wire builds the service from the parts of the chassis: its routes, its
	// subscriptions and whether it publishes. Nothing has started yet.
	Wire func(*Chassis, C) error
}

// Configuration is what a service reads from its environment.
type Configuration interface {
	// Base returns the part that all services have, with the URLs of other services.
	Base() Config
}

// Open loads the configuration from environ, opens the parts of the service and wires
// them. Logs go to out. The error is about the configuration: an [*env.Error] lists
// every wrong variable. Neither Postgres nor Redis needs to be up.
func (app App[C]) Open(ctx context.Context, environ []string, out io.Writer) (*Chassis, error) {
	cfg, err := env.Load[C](environ, app.Defaults...)
	if err != nil {
		return nil, err
	}
	c, err := open(ctx, cfg.Base(), out, app.Schema)
	if err != nil {
		return nil, err
	}
	err = app.Wire(c, cfg)
	if err == nil && app.OpenAPI != nil {
		err = c.HTTP.Docs(app.OpenAPI)
	}
	if err == nil {
		err = c.openEvents(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Exit codes of Main.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // wrong arguments or configuration
)

const usage = `usage: %s [command]

commands:
  (none)    serve
  migrate   bring the database's schema up to date
  health    exit with 0 if the instance on this machine is ready
  version   print the version
  help      print this

The environment configures it; see .env.example.
`

const (
	migrateTime = 5 * time.Minute
	healthTime  = 2 * time.Second
)

// Main runs the command that the process was called with and exits: with 0, with 1
// after a failure, with 2 for a wrong command or configuration, each problem of which
// is one line on standard error. SIGINT, SIGTERM and SIGHUP stop the service
// in order; a second one ends it at once. A closed standard output does not end it.
func Main[C Configuration](app App[C]) {
	os.Exit(run(app.command))
}

func run(command func(context.Context, []string, []string, io.Writer) error) int {
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		signal.Stop(signals) // restores the default for a second one, before the drain is seen
		stop()
	}()
	unsetLibpq()
	err := command(ctx, os.Args, os.Environ(), os.Stdout)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(os.Stderr, err)
	var invalid *env.Error
	if errors.As(err, &invalid) || errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

var errUsage = errors.New("wrong command")

// unsetLibpq removes the variables of libpq from the environment: the driver would read
// them, and only Config decides which database is used and how.
func unsetLibpq() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
}

func (app App[C]) command(ctx context.Context, args, environ []string, out io.Writer) error {
	name := ""
	if len(args) > 1 {
		name = args[1]
	}
	if len(args) > 2 {
		return fmt.Errorf("%w: %q takes no arguments, see %s help", errUsage, name, args[0])
	}
	switch name {
	case "":
		return app.serve(ctx, environ, out)
	case "migrate":
		return app.migrate(ctx, environ, out)
	case "health":
		return app.health(ctx, environ)
	case "version":
		_, err := fmt.Fprintln(out, version())
		return err
	case "help", "-h", "--help":
		_, err := fmt.Fprintf(out, usage, args[0])
		return err
	default:
		return fmt.Errorf("%w: %q, see %s help", errUsage, name, args[0])
	}
}

func (app App[C]) serve(ctx context.Context, environ []string, out io.Writer) error {
	c, err := app.Open(ctx, environ, out)
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

func (app App[C]) migrate(ctx context.Context, environ []string, out io.Writer) error {
	c, err := app.Open(ctx, environ, io.Discard)
	if err != nil {
		return err
	}
	defer c.Close() // the migration has a separate pool
	ctx, cancel := context.WithTimeout(ctx, migrateTime)
	defer cancel()
	if err := c.migrate(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s is up to date\n", database.Name(c.Config.Service, c.Config.Env))
	return err
}

// healthHost is where the instance on this machine is reached.
func (c Config) healthHost() string {
	if net.ParseIP(c.HTTP.Host).IsUnspecified() {
		return "127.0.0.1"
	}
	return c.HTTP.Host
}

// health requests /readyz of the instance on this machine, as a container's health
// check does.
func (app App[C]) health(ctx context.Context, environ []string) error {
	full, err := env.Load[C](environ, app.Defaults...)
	if err != nil {
		return err
	}
	cfg := full.Base()
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	url := "http://" + net.JoinHostPort(cfg.healthHost(), strconv.Itoa(cfg.HTTP.Port)) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(Version, "development")
	}
	revision := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return fmt.Sprintf("%s %s %s", info.Main.Path, cmp.Or(Version, revision, "development"), info.GoVersion)
}
