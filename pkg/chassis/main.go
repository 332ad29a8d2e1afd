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
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
)

// Version is the release, set when linking
// (-ldflags "-X github.com/go-troika/troika/pkg/chassis.Version=v1.2.3").
var Version string

// App is a service as its main function gives it to Main.
type App struct {
	// Defaults are the service's own values of variables of Config, as
	// "KEY=value"; at least SERVICE_NAME, PORT and ADMIN_PORT.
	Defaults []string
	// Schema holds the service's migrations.
	Schema fs.FS
	// Subscriptions are the event types that the service handles; nil for none.
	// migrate records them, so that a release knows what the next one will handle.
	Subscriptions *events.Subscriptions
	// Serve runs the service until ctx is done.
	Serve func(ctx context.Context, environ []string, out io.Writer) error
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

// Main runs the command that the process was called with and gives its exit
// code: 0, 1 for a failure, 2 for a wrong command or configuration, each
// mistake of which has its own line on standard error. SIGINT, SIGTERM and SIGHUP end
// it in order; a second one ends it at once. That nobody reads its log any more does
// not end it.
func Main(app App) int {
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		signal.Stop(signals) // a second one does what it does by default, before the drain is seen
		stop()
	}()
	forgetLibpq()
	err := app.command(ctx, os.Args, os.Environ(), os.Stdout)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(os.Stderr, err)
	var mistakes *env.Error
	if errors.As(err, &mistakes) || errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitFailed
}

var errUsage = errors.New("wrong command")

// forgetLibpq removes the variables of libpq from the environment. The driver would
// let them decide which database is used and how; here only Config does.
func forgetLibpq() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			_ = os.Unsetenv(name)
		}
	}
}

func (app App) command(ctx context.Context, args, environ []string, out io.Writer) error {
	name := ""
	if len(args) > 1 {
		name = args[1]
	}
	if len(args) > 2 {
		return fmt.Errorf("%w: %q takes no arguments, see %s help", errUsage, name, args[0])
	}
	switch name {
	case "":
		return app.Serve(ctx, environ, out)
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

func (app App) migrate(ctx context.Context, environ []string, out io.Writer) error {
	cfg, err := env.Load[Config](environ, app.Defaults...)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, migrateTime)
	defer cancel()
	cfg.Database.PoolAcquire = migrateTime
	name := database.Name(cfg.Service, cfg.Env)
	db, err := database.Open(ctx, cfg.Database, name)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx, schemas(app.Schema)...); err != nil {
		return err
	}
	if app.Subscriptions != nil {
		if err := consumer.NewPostgres(db, cfg.Service).Declare(ctx, app.Subscriptions); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s is up to date\n", name)
	return err
}

// healthHost is where the instance on this machine is reached.
func (c Config) healthHost() string {
	if net.ParseIP(c.HTTP.Host).IsUnspecified() {
		return "127.0.0.1"
	}
	return c.HTTP.Host
}

// health asks the instance on this machine, as a container's health check does.
func (app App) health(ctx context.Context, environ []string) error {
	cfg, err := env.Load[Config](environ, app.Defaults...)
	if err != nil {
		return err
	}
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
