package chassis_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/testkit"
)

// A stopping service fails its probes, closes idle connections, deregisters, and goes on
// serving for as long as the others need to notice.
func TestStopIsAnnouncedBeforeServingEnds(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	const delay = 2 * time.Second
	i := start(t, append(s.environ, "REGISTRY=redis", "DRAIN_DELAY="+delay.String()), func(ch *chassis.Chassis) {
		ch.HTTP.Router().GET("/work", httpserver.Public(), httpserver.Handle(func(c *gin.Context) error { return httpserver.JSON(c, http.StatusOK, "done") }))
	})
	cfg, err := env.Load[chassis.Config](s.environ)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := redis.ParseURL(cfg.RedisURL.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	reader, err := registry.New(registry.Config{Kind: registry.KindRedis, Env: testkit.Env}, registry.Deps{Redis: client})
	if err != nil {
		t.Fatal(err)
	}
	stopReading := testkit.Run(t, reader.Run)
	testkit.Eventually(t, 10*time.Second, func() string {
		if _, err := reader.GetService(s.name); err != nil {
			return err.Error()
		}
		return ""
	})

	stopped := make(chan struct{})
	began := time.Now()
	go func() { defer close(stopped); i.stop() }()
	testkit.Eventually(t, 10*time.Second, func() string {
		if got := i.status("/readyz"); got != http.StatusServiceUnavailable {
			return "still ready"
		}
		return ""
	})
	testkit.Eventually(t, 10*time.Second, func() string {
		if len(reader.Instances(s.name)) > 0 {
			return "still registered"
		}
		return ""
	})
	if told := time.Since(began); told < delay { // on a machine so busy that it took longer there is nothing to see
		if got := i.status("/work"); got != http.StatusOK {
			t.Errorf("%v after the stop began and the registry knew: status %d, want it to serve for %v", told, got, delay)
		}
	}
	<-stopped
	if took := time.Since(began); took < delay {
		t.Errorf("stopped after %v, want it to serve for %v", took, delay)
	}
	stopReading()
}

// steps notes what happens in a stop, in order.
type steps struct {
	mu  sync.Mutex
	all []string
}

func (s *steps) note(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, step)
}

// The event in hand ends before HTTP does, a request in hand still is answered
// then, and what the service runs itself ends after both.
func TestPartsStopOneByOne(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	spoken := events.NewType(s.name, "word.spoken", 1, func(w string) string { return w })
	var done steps
	handling, entered, leave := make(chan struct{}), make(chan struct{}), make(chan struct{})
	i := start(t, append(s.environ, "REGISTRY=redis"), func(ch *chassis.Chassis) {
		ch.Relay()
		consumes(ch, spoken, func(context.Context, *gorm.DB, string) error {
			close(handling)
			<-leave
			done.note("event")
			return nil
		})
		ch.HTTP.Router().GET("/slow", httpserver.Public(), slow(entered, leave))
		ch.Background("own", func(ctx context.Context) error {
			<-ctx.Done()
			done.note("own")
			return nil
		})
	})
	err := i.DB.Transaction(func(tx *gorm.DB) error { return events.Publish(t.Context(), tx, spoken, "hello") })
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() { answered <- i.status("/slow") }()
	<-entered
	<-handling
	stopped := make(chan struct{})
	go func() { defer close(stopped); i.stop() }()
	testkit.Eventually(t, 10*time.Second, func() string {
		if got := i.status("/readyz"); got == http.StatusOK {
			return "still ready"
		}
		return ""
	})
	close(leave)
	if got := <-answered; got != http.StatusOK {
		t.Errorf("the request in hand got %d", got)
	}
	<-stopped
	if want := []string{"event", "own"}; !slices.Equal(done.all, want) {
		t.Errorf("ended in the order %v, want %v", done.all, want)
	}
}

// A request that never ends and holds a connection of the pool: the stop is over
// all the same, and names both.
func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	ch, err := app(func(*chassis.Chassis) {}).Open(t.Context(), append(s.environ, "TEST_HTTP_SHUTDOWN=200ms"), &journal{})
	if err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	ch.HTTP.Router().GET("/stuck", httpserver.Public(), httpserver.Handle(func(*gin.Context) error {
		return ch.DB.Transaction(func(*gorm.DB) error { close(entered); <-leave; return nil })
	}))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ch.Run(ctx) }()
	if err := ch.HTTP.Listen(); err != nil {
		t.Fatal(err)
	}
	go func() {
		if resp, err := client.Get("http://" + ch.HTTP.Addr() + "/stuck"); err == nil {
			resp.Body.Close()
		}
	}()
	<-entered

	began := time.Now()
	stop()
	err = <-ended
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("stopped after %v", took)
	}
	if err == nil || !strings.Contains(err.Error(), "stop http") || !strings.Contains(err.Error(), "close database") {
		t.Errorf("the errors of both steps are wanted, got %v", err)
	}
	close(leave)
}

// A part that fails takes the others with it, in order.
func TestFailingPartStopsTheService(t *testing.T) {
	t.Parallel()
	s := newService(t)
	broken := errors.New("broken")
	fails := func(ch *chassis.Chassis) {
		ch.Background("own", func(context.Context) error { return broken })
	}
	ch, err := app(fails).Open(t.Context(), s.environ, &journal{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Run(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "own ended") {
		t.Errorf("ended with %v", err)
	}
}

// Errors of the exporter are in the service's log.
func TestTelemetryErrorsAreLogged(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no spans here", http.StatusBadRequest)
	}))
	t.Cleanup(receiver.Close)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(environ(t, "OTEL_EXPORTER_OTLP_ENDPOINT="+receiver.URL), asService)
	log := &journal{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() string {
		if !log.contains(`"service started"`) {
			return "does not run: " + log.String()
		}
		return ""
	})
	_, port, _ := strings.Cut(log.String(), `"addr":"127.0.0.1:`)
	port, _, _ = strings.Cut(port, `"`)
	i := &instance{t: t, url: "http://127.0.0.1:" + port}
	if got := i.status("/events/log"); got != http.StatusUnauthorized {
		t.Fatalf("status %d", got)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if !log.contains(`"msg":"telemetry failed"`) || !log.contains("400") {
		t.Errorf("the log says nothing of it: %s", log)
	}
}
