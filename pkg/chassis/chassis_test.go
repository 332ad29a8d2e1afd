package chassis_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestServiceWithoutDatabaseStartsAndIsNotReady(t *testing.T) {
	t.Parallel()
	i := start(t, environ(t, "DB_PORT=1"), func(*chassis.Chassis) {})
	if got := i.status("/livez"); got != http.StatusOK {
		t.Errorf("/livez answers %d", got)
	}
	if got := i.status("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d without a database", got)
	}
}

func TestServiceIsReadyOnceItsDatabaseIsMigrated(t *testing.T) {
	t.Parallel()
	s := newService(t)
	i := start(t, s.environ, func(*chassis.Chassis) {})
	if got := i.status("/readyz"); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz answers %d before the migration", got)
	}
	s.migrate()
	testkit.Eventually(t, 5*time.Second, func() string {
		if got := i.status("/readyz"); got != http.StatusOK {
			return http.StatusText(got)
		}
		return ""
	})
}

// Any service may read the log, and no other caller: no producer knows its consumers.
func TestEventLogIsForServices(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	i := start(t, s.environ, (*chassis.Chassis).Relay)
	spoken := events.NewType(s.name, "word.spoken", 1, func(w string) string { return w })
	err := i.DB.Transaction(func(tx *gorm.DB) error { return events.Publish(t.Context(), tx, spoken, "hello") })
	if err != nil {
		t.Fatal(err)
	}
	if got := i.status("/events/log?part=0&after=0"); got != http.StatusUnauthorized {
		t.Errorf("no token: %d", got)
	}
	token := s.token("reader-service")
	if got := i.status("/events/log?part=x&after=0", serviceauth.Header, token); got != http.StatusBadRequest {
		t.Errorf("no number: %d", got)
	}
	if got := i.body("/events/log?part=9&after=0", token); !strings.Contains(got, `"known":false`) {
		t.Errorf("no such part: %s", got)
	}
	testkit.Eventually(t, 5*time.Second, func() string {
		status, answer := i.post("/events/log/ask", token, `{"questions":[]}`)
		var log struct{ Parts []struct{ Part string } }
		if err := json.Unmarshal([]byte(answer), &log); err != nil || status != http.StatusOK {
			t.Fatal(status, answer)
		}
		found := ""
		for _, p := range log.Parts {
			found += i.body("/events/log?after=0&part="+p.Part, token)
		}
		if !strings.Contains(found, "word.spoken") {
			return "event is not in the log: " + found
		}
		return ""
	})
}

func TestPartitionsChangeWhileTheServiceRuns(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	i := start(t, s.environ, (*chassis.Chassis).Relay)
	for _, c := range []struct {
		caller, body string
		status       int
		says         string
	}{
		{"reader-service", `{"count":8}`, http.StatusForbidden, "caller_not_allowed"},
		{serviceauth.Operator, `{"count":0}`, http.StatusBadRequest, "count"},
		{serviceauth.Operator, `{"count":257}`, http.StatusBadRequest, "count"},
		{serviceauth.Operator, `{"count":8}`, http.StatusOK, `"layout":2`},
	} {
		if status, body := i.admin().post("/events/partitions", s.token(c.caller), c.body); status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %s", c.caller, c.body, status, body)
		}
	}
	if _, body := i.post("/events/log/ask", s.token("reader-service"), `{"questions":[]}`); strings.Count(body, `"layout":2`) != 8 {
		t.Errorf("8 parts of a second layout are wanted: %s", body)
	}
}

func TestStopFinishesWhatIsInHand(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.migrate()
	entered, leave := make(chan struct{}), make(chan struct{})
	i := start(t, s.environ, func(ch *chassis.Chassis) {
		ch.HTTP.Router().GET("/slow", httpserver.Public(), slow(entered, leave))
	})
	answer := make(chan int, 1)
	go func() { answer <- i.status("/slow") }()
	<-entered
	stopped := make(chan struct{})
	go func() { defer close(stopped); i.stop() }()
	testkit.Eventually(t, 5*time.Second, func() string {
		if got := i.status("/readyz"); got == http.StatusOK {
			return "still ready"
		}
		return ""
	})
	close(leave)
	if got := <-answer; got != http.StatusOK {
		t.Errorf("request in flight got %d", got)
	}
	<-stopped
	if got := i.status("/livez"); got != 0 {
		t.Errorf("answers %d after the stop", got)
	}
}

func TestDemoCredentialsAreRefusedInProduction(t *testing.T) {
	t.Parallel()
	_, err := env.Load[chassis.Config]([]string{
		"SERVICE_NAME=x", "APP_ENV=production", "DB_USER=x", "DB_PASSWORD=" + database.DemoPassword, "SERVICE_SECRET=" + serviceauth.DemoSecret,
	})
	if err == nil || !strings.Contains(err.Error(), "DB_PASSWORD: ") || !strings.Contains(err.Error(), "SERVICE_SECRET: ") {
		t.Errorf("got %v", err)
	}
}

func TestOpenedAndClosedWithoutRun(t *testing.T) {
	t.Parallel()
	ch, err := app(func(*chassis.Chassis) {}).Open(t.Context(), environ(t), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Close(); err != nil {
		t.Error(err)
	}
}

// body returns the body of a GET with a token.
func (i *instance) body(path, token string) string {
	i.t.Helper()
	_, body := i.send(http.MethodGet, path, token, "")
	if !json.Valid([]byte(body)) {
		i.t.Fatal(path, body)
	}
	return body
}
