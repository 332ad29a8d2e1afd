//go:build alerts

package alerts_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/environment/processes"
	"github.com/go-troika/troika/e2e/poll"
)

// breaks are how the faults are made and unmade, by name.
var breaks = map[string]struct{ inject, restore func(l *lab) }{
	"all instances of user-service end": {
		func(l *lab) { l.do(driver.Kill, environment.User) }, func(l *lab) { l.do(driver.Start, environment.User) },
	},
	"profile-service ends": {
		func(l *lab) { l.do(driver.Kill, environment.Profile) }, func(l *lab) { l.do(driver.Start, environment.Profile) },
	},
	"one instance of order-service ends": {
		func(l *lab) { l.do(driver.Kill, "order-service-2") }, func(l *lab) { l.do(driver.Start, "order-service-2") },
	},
	"Redis ends": {
		func(l *lab) { l.do(driver.Kill, environment.Redis) }, func(l *lab) { l.do(driver.Start, environment.Redis) },
	},
	"Postgres ends": {
		func(l *lab) { l.do(driver.Kill, "postgres") }, func(l *lab) { l.do(driver.Start, "postgres") },
	},
	"a session holds a lock on the table of users": {
		func(l *lab) { l.hold(environment.User, "LOCK TABLE users") }, (*lab).release,
	},
	"a session holds a lock on the event log": {
		func(l *lab) { l.hold(environment.User, "LOCK TABLE event_log IN EXCLUSIVE MODE") }, (*lab).release,
	},
	"the consumer of profile-service is paused": {
		func(l *lab) { l.events("pause", environment.Profile) }, func(l *lab) { l.events("resume", environment.Profile) },
	},
	"a producer publishes an event that cannot be decoded": {
		(*lab).publishNonsense, func(l *lab) { l.events("discard", environment.Profile, "--all", "--reason", "test") },
	},
}

// lab is a stack under load that Prometheus watches.
type lab struct {
	*testing.T
	stack  *driver.Stack
	client *client.Client
	watch  prometheus
	unlock func()
}

const (
	fires   = 90 * time.Second // of a busy machine; each takes some ten seconds
	settles = 3 * time.Minute
)

func TestAlerts(t *testing.T) {
	processes.Uncached()
	s, err := driver.Up(t.Context(), driver.Options{
		Root: "../..", Command: os.Getenv("STACK_BIN"), Name: "alerts-" + strings.ToLower(rand.Text()[:6]),
		Scale: map[string]int{environment.User: 2, environment.Order: 2},
		Env:   []string{"SERVICE_SECRET=" + environment.Secret, "LOG_LEVEL=warn", "DB_POOL_MAX=10", "BREAKER_COOLDOWN=2s"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Down(); err != nil {
			t.Error(err)
		}
	})
	l := &lab{T: t, stack: s, client: client.New(&http.Transport{}, 15*time.Second), watch: startPrometheus(t, s)}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { l.load(ctx) })

	err = poll.Until(t.Context(), fires, func() error { // until the first scrapes every service is gone
		if names, err := l.watch.names(); err != nil || !slices.Contains(names, "service:request_errors:ratio_rate5m") {
			return fmt.Errorf("nothing is recorded yet: %v", err)
		}
		return l.nothingFires()
	})
	if err != nil {
		t.Fatal(err)
	}
	l.silent(20 * time.Second)
	for _, f := range faults {
		b, ok := breaks[f.name]
		if !ok {
			t.Fatalf("no way to make the fault %q", f.name)
		}
		began := time.Now()
		b.inject(l)
		err := poll.Until(t.Context(), fires, func() error { return l.fires(f) })
		took := time.Since(began)
		b.restore(l)
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
		}
		t.Logf("%s: %s after %v", f.name, f.alert, took.Round(time.Second))
		if err := poll.Until(t.Context(), settles, l.nothingFires); err != nil {
			t.Fatalf("after %s: %v", f.name, err)
		}
	}
	l.metricsExist() // those of errors exist only now
}

// load sends fifty requests a second, as people and the gateway do, until ctx ends. Slow responses
// do not slow it down.
func (l *lab) load(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	var last atomic.Value // the id of a user
	for n := 0; ctx.Err() == nil; n++ {
		wg.Go(func() {
			user, known := last.Load().(string)
			switch {
			case n%10 == 0 || !known:
				r, err := l.send(ctx, environment.User, http.MethodPost, "/users", client.NewUser())
				if user, bad := client.Parse[client.User](r); err == nil && bad == nil && r.Status == http.StatusCreated {
					last.Store(user.ID)
				}
			case n%3 == 0:
				r, err := l.send(ctx, environment.Order, http.MethodPost, "/orders", map[string]any{
					"userId": user, "currency": "USD", "items": []client.Item{{SKU: "tea", Quantity: 1, UnitPrice: 1000}},
				})
				if order, bad := client.Parse[client.Order](r); err == nil && bad == nil && r.Status == http.StatusCreated {
					_, _ = l.send(ctx, environment.Order, http.MethodPost, "/orders/"+order.ID+"/complete", nil)
				}
			default:
				_, _ = l.send(ctx, environment.User, http.MethodGet, "/users/"+user, nil)
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// send sends a request to any instance.
func (l *lab) send(ctx context.Context, service, method, path string, body any) (client.Response, error) {
	instances := l.stack.Instances(service)
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(instances))))
	if err != nil {
		return client.Response{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	return l.client.Send(ctx, service, method, instances[n.Int64()].URL+path, body)
}

// fires returns an error unless the alert of f fires.
func (l *lab) fires(f fault) error {
	firing, err := l.watch.firing()
	if err != nil {
		return err
	}
	for _, labels := range firing[f.alert] {
		matches := true
		for name, value := range f.labels {
			matches = matches && labels[name] == value
		}
		if matches {
			return nil
		}
	}
	return fmt.Errorf("%s %v does not fire, %v does", f.alert, f.labels, firing)
}

func (l *lab) nothingFires() error {
	firing, err := l.watch.firing()
	if err == nil && len(firing) > 0 {
		err = fmt.Errorf("%v fire", firing)
	}
	return err
}

// silent fails the test if an alert fires for a time without faults.
func (l *lab) silent(d time.Duration) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), d)
	defer cancel()
	for ctx.Err() == nil {
		if err := l.nothingFires(); err != nil {
			l.Fatalf("without a fault: %v", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// metricsExist evaluates every expression of the dashboard and looks for the metrics of dashboard
// and rules.
func (l *lab) metricsExist() {
	l.Helper()
	d, wanted := readDashboard(l.T), metricNames(read(l.T, "deploy/observability/rules.yml"))
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expr := strings.ReplaceAll(target.Expr, "$service", ".+-service")
			if err := l.watch.query(expr); err != nil {
				l.Errorf("panel %q: %v", p.Title, err)
			}
			wanted = append(wanted, metricNames(expr)...)
		}
	}
	err := poll.Until(l.Context(), fires, func() error {
		names, err := l.watch.names()
		if err != nil {
			return err
		}
		for _, name := range wanted {
			if !slices.Contains(names, name) {
				return fmt.Errorf("no service has the metric %s", name)
			}
		}
		return nil
	})
	if err != nil {
		l.Error(err)
	}
}

var metricName = regexp.MustCompile(`\b(?:http_|db_|event_|circuit_|registry_|process_|go_|target_info|service:)[a-z0-9_:]*`)

// metricNames returns the metrics in expressions: not the labels, which are in braces and in the
// lists of by and group.
func metricNames(text string) []string {
	text = regexp.MustCompile(`\{[^}]*\}|by \([^)]*\)`).ReplaceAllString(text, "")
	return metricName.FindAllString(text, -1)
}

func (l *lab) do(verb, part string) {
	l.Helper()
	if err := l.stack.Do(l.Context(), verb, part); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) events(verb, service string, flags ...string) {
	l.Helper()
	if _, err := l.stack.Run(l.Context(), append([]string{"events", verb, service}, flags...)...); err != nil {
		l.Fatal(err)
	}
}

// hold runs a statement in a transaction that stays open.
func (l *lab) hold(service, statement string) {
	l.Helper()
	conn, err := l.stack.Connect(l.Context(), service)
	if err != nil {
		l.Fatal(err)
	}
	l.unlock = func() { _ = conn.Close(context.WithoutCancel(l.Context())) }
	if _, err := conn.Exec(l.Context(), "BEGIN; "+statement); err != nil {
		l.Fatal(err)
	}
}

func (l *lab) release() { l.unlock() }

// publishNonsense publishes a user.created without a user.
func (l *lab) publishNonsense() {
	l.Helper()
	conn, err := l.stack.Connect(l.Context(), environment.User)
	if err != nil {
		l.Fatal(err)
	}
	defer conn.Close(l.Context())
	id := uuid.Must(uuid.NewV7()).String()
	envelope := fmt.Sprintf(`{"event":"user.created","data":"nonsense","timestamp":%q,"service":"user-service","id":%q,"key":%q,"version":1}`,
		time.Now().UTC().Format(time.RFC3339Nano), id, id)
	_, err = conn.Exec(l.Context(), `INSERT INTO event_outbox (event_id, key, hash, envelope, personal, erases)
		VALUES ($1, $2, 0, $3, false, false)`, id, id, envelope)
	if err != nil {
		l.Fatal(err)
	}
}
