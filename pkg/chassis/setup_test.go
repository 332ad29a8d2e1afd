package chassis_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

const serviceName = "echo-service"

// schema is the service's only migration.
var schema = fstest.MapFS{"00001_words.sql": {Data: []byte("-- +goose Up\nCREATE TABLE words (word text);")}}

// asService in the environment makes this binary the service.
const asService = "CHASSIS_TEST_SERVICE=1"

// config is the service's configuration.
type config struct {
	Chassis  chassis.Config
	Shutdown time.Duration `env:"TEST_HTTP_SHUTDOWN"`
}

// Base implements chassis.Configuration.
func (c config) Base() chassis.Config {
	c.Chassis.HTTP.Shutdown = c.Shutdown
	return c.Chassis
}

// app returns the service, wired by wire.
func app(wire func(*chassis.Chassis)) chassis.App[config] {
	return chassis.App[config]{
		Defaults: []string{"SERVICE_NAME=" + serviceName, "PORT=0", "ADMIN_PORT=0"},
		Schema:   schema,
		Wire:     func(ch *chassis.Chassis, _ config) error { wire(ch); return nil },
	}
}

// TestMain lets the tests run this binary as a service of its own.
func TestMain(m *testing.M) {
	if slices.Contains(os.Environ(), asService) {
		chassis.Main(app((*chassis.Chassis).Relay))
	}
	goleak.VerifyTestMain(m)
}

// instance is a chassis that runs in this process.
type instance struct {
	*chassis.Chassis
	t    *testing.T
	url  string
	api  *apitest.API // describes what url serves, if it is not nil
	log  *journal
	stop func()
}

// environ names the test's servers, and a database name of the test's own.
func environ(t *testing.T, more ...string) []string {
	t.Helper()
	own := append(testkit.Environ(t), "SERVICE_NAME="+serviceName, "APP_ENV=test", "PORT=0", "ADMIN_PORT=0",
		"DRAIN_DELAY=200ms", "SERVICE_SECRET="+serviceauth.DemoSecret)
	return append(own, more...)
}

// start runs a chassis with the environment, after wire has added to it.
func start(t *testing.T, environ []string, wire func(*chassis.Chassis)) *instance {
	t.Helper()
	log := &journal{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log)
		}
	})
	ch, err := app(wire).Open(t.Context(), environ, log)
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{Chassis: ch, t: t, log: log, stop: testkit.Run(t, ch.Run)}
	if err := ch.HTTP.Listen(); err != nil {
		t.Fatal(err)
	}
	i.url = "http://" + ch.HTTP.Addr()
	return i
}

func consumes[T any](ch *chassis.Chassis, event events.Type[T], h events.Handler[T]) {
	s := events.NewSubscriptions()
	events.On(s, event, h)
	ch.Consume(s)
}

// client keeps no connection.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// status returns the status of a GET, 0 if there was no answer.
func (i *instance) status(path string, header ...string) int {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, i.url+path, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	for n := 0; n+1 < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// service is a service with a name, and so a database, of its own.
type service struct {
	t       *testing.T
	name    string
	environ []string
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{t: t, name: "echo" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12]}
	testkit.CreateDatabase(t, database.Name(s.name, "test"))
	s.environ = environ(t, "SERVICE_NAME="+s.name)
	return s
}

// migrate runs the subcommand.
func (s *service) migrate() {
	s.t.Helper()
	if _, stderr, code := command(s.t, s.environ, "migrate"); code != 0 {
		s.t.Fatalf("migrate: exit %d, %s", code, stderr)
	}
}

// token is one that the service caller would send to this service.
func (s *service) token(caller string) string {
	s.t.Helper()
	keys, err := serviceauth.ParseKeys(serviceauth.Config{Secret: env.NewSecret(serviceauth.DemoSecret)}, "gateway", "test")
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := serviceauth.NewSigner(keys, caller).Token(s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// slow is a handler that signals that it was entered, and waits.
func slow(entered, leave chan struct{}) gin.HandlerFunc {
	return httpserver.Handle(func(c *gin.Context) error {
		close(entered)
		<-leave
		return httpserver.JSON(c, http.StatusOK, "done")
	})
}

// journal collects a log.
type journal struct {
	mu    sync.Mutex
	lines strings.Builder
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(p)
}

// String implements fmt.Stringer.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.String()
}

func (j *journal) count(s string) int { return strings.Count(j.String(), s) }

func (j *journal) contains(s string) bool {
	return strings.Contains(j.String(), s)
}
