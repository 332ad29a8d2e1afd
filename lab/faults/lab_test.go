package faults_test

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/testkit"
)

var rounds = flag.Int("rounds", 1, "how often each fault is done")

const (
	publisher  = "ledger"
	subscriber = "mirror"
	writers    = 8
	instances  = 2 // of each service
	accounts   = 1000
	patience   = 60 * time.Second // the promise is 5 s; a busy machine gets more
)

// deposit is the published event. Its id is that of the publisher's row.
type deposit struct {
	ID      uuid.UUID `json:"id"`
	Account string    `json:"account"`
	Filler  string    `json:"filler,omitempty"`
}

var deposited = events.NewType(publisher, "deposit.made", 1, func(d deposit) string { return d.Account })

// lab is a publishing and a subscribing service of two instances each.
type lab struct {
	t          *testing.T
	from, to   *server // where the services' databases are
	redis      *redisPair
	openRedis  func() redis.UniversalClient
	published  *database.DB // for the lab itself
	applied    *database.DB
	size       atomic.Int64 // bytes of a large event; one of a hundred
	refuse     atomic.Pointer[func(account string) bool]
	mu         sync.Mutex
	acked      map[uuid.UUID]bool
	unknown    atomic.Int64
	faultBegan time.Time
	faultEnded time.Time
	keyPadding string
}

const tables = `
CREATE TABLE accounts (name text PRIMARY KEY, n bigint NOT NULL);
CREATE TABLE deposits (request uuid PRIMARY KEY, id uuid NOT NULL, account text NOT NULL, n bigint NOT NULL,
	at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp());
CREATE TABLE effects (seq bigint GENERATED ALWAYS AS IDENTITY, id uuid NOT NULL, account text NOT NULL,
	at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp());
CREATE SCHEMA stepped;
CREATE TABLE stepped.by (days double precision NOT NULL);
INSERT INTO stepped.by VALUES (0);
CREATE FUNCTION stepped.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
	'SELECT pg_catalog.clock_timestamp() + make_interval(secs => 86400 * days) FROM stepped.by';
CREATE FUNCTION stepped.now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
	'SELECT pg_catalog.now() + make_interval(secs => 86400 * days) FROM stepped.by'`

// newLab starts Postgres servers and the services. Each database has its own clock,
// which the lab steps.
func newLab(t *testing.T, openRedis func() redis.UniversalClient) *lab {
	t.Helper()
	l := &lab{t: t, acked: map[uuid.UUID]bool{}, openRedis: openRedis}
	l.from = newServer(t, "127.0.0.1", freePort(t))
	l.to = newServer(t, "127.0.0.1", freePort(t))
	for server, name := range map[*server]string{l.from: publisher, l.to: subscriber} {
		server.exec("CREATE DATABASE " + name)
		db := l.open(name)
		l.exec(db, tables)
		server.exec("ALTER ROLE postgres SET search_path = stepped, pg_catalog, public")
		server.exec(fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", name))
		testkit.Eventually(t, patience, func() string {
			if err := db.Migrate(t.Context(), events.Schema()); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	l.published, l.applied = l.open(publisher), l.open(subscriber)
	for range instances {
		l.relay()
		l.consume()
	}
	return l
}

func (l *lab) open(name string) *database.DB {
	l.t.Helper()
	cfg := database.Config{
		Host: "127.0.0.1,127.0.0.2", Port: l.from.port, User: "postgres", Password: env.NewSecret("none"),
		SSLMode: "disable", PoolMax: 5, PoolAcquire: 5 * time.Second, PoolIdle: 10 * time.Second,
	}
	if name == subscriber {
		cfg.Host, cfg.Port = l.to.host, l.to.port
	}
	db, err := database.Open(l.t.Context(), cfg, name)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { db.Close() })
	if err := db.Gorm.Use(events.NewOutbox(name)); err != nil {
		l.t.Fatal(err)
	}
	return db
}

func (l *lab) exec(db *database.DB, query string) {
	l.t.Helper()
	testkit.Eventually(l.t, patience, func() string {
		if err := db.Gorm.Exec(query).Error; err != nil {
			return err.Error()
		}
		return ""
	})
}

func (l *lab) relay() {
	db, rdb := l.open(publisher), l.openRedis()
	r := relay.New(relay.Options{
		Instance: mathrand.Int64(), DB: postgres.NewLog(db.Pool()), Streams: relay.NewRedis(rdb, testkit.Env, publisher),
		Config: testkit.EventConfig(), Deps: testkit.EventDeps(l.t), Hints: events.NewHints(rdb, testkit.Env, publisher),
	})
	testkit.Run(l.t, r.Run)
}

func (l *lab) consume() {
	s := events.NewSubscriptions()
	events.On(s, deposited, l.handle)
	c := consumer.New(consumer.Options{
		Instance: mathrand.Int64(), DB: postgres.NewConsumer(l.open(subscriber), subscriber),
		Source: testkit.Logs{publisher: l.open(publisher)}, Subscriptions: s, Streams: consumer.NewRedis(l.openRedis,
			testkit.Env),
		Config: testkit.EventConfig(), Deps: testkit.EventDeps(l.t), Hints: events.NewHints(l.openRedis(), testkit.Env,
			subscriber),
	})
	testkit.Run(l.t, c.Run)
}

var errRefused = errors.New("refused")

func (l *lab) handle(_ context.Context, tx *gorm.DB, d deposit) error {
	if refuse := l.refuse.Load(); refuse != nil && (*refuse)(d.Account) {
		return errRefused
	}
	return tx.Exec(`INSERT INTO effects (id, account) VALUES (?, ?)`, d.ID, d.Account).Error
}

// write makes deposits, each in a transaction, until stop is set. A request whose
// outcome is unknown is repeated.
func (l *lab) write(db *database.DB, stop *atomic.Bool, pause time.Duration) error {
	for !stop.Load() {
		request, d := uuid.New(), deposit{Account: fmt.Sprint("account-", mathrand.IntN(accounts), l.keyPadding)}
		if size := l.size.Load(); size > 0 && mathrand.IntN(100) == 0 {
			d.Filler = rand.Text() + strings.Repeat("x", int(size))
		}
		err := l.make(db, request, d)
		for ; errors.Is(err, database.ErrOutcomeUnknown) || database.IsRetryable(err); err = l.make(db, request, d) {
			if errors.Is(err, database.ErrOutcomeUnknown) {
				l.unknown.Add(1)
			}
			<-time.After(20 * time.Millisecond)
		}
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.acked[request] = true
		l.mu.Unlock()
		<-time.After(pause)
	}
	return nil
}

// make makes a deposit unless the request has made it. The deposit's id is new each
// time: a request that is repeated after a restore makes another event.
func (l *lab) make(db *database.DB, request uuid.UUID, d deposit) error {
	ctx := l.t.Context()
	d.ID = uuid.New()
	return database.Transaction(ctx, db.Gorm, func(tx *gorm.DB) error {
		var n int64
		err := tx.Raw(`INSERT INTO accounts VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET n = accounts.n + 1 RETURNING n`,
			d.Account).Scan(&n).Error
		if err != nil {
			return err
		}
		made := tx.Exec(`INSERT INTO deposits (request, id, account, n) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, request,
			d.ID, d.Account, n)
		if made.Error != nil || made.RowsAffected == 0 {
			return made.Error
		}
		return events.Publish(ctx, tx, deposited, d)
	})
}

// under applies a fault under the writers, each of which pauses between its deposits.
func (l *lab) under(pause time.Duration, apply func()) {
	l.t.Helper()
	var stop atomic.Bool
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		db := l.open(publisher)
		wg.Go(func() { errs[w] = l.write(db, &stop, pause) })
	}
	l.faultBegan = time.Now()
	func() {
		defer wg.Wait()
		defer stop.Store(true)
		apply()
		l.faultEnded = time.Now()
	}()
	if err := errors.Join(errs...); err != nil {
		l.t.Fatal(err)
	}
}

// dropAcknowledged drops what was acknowledged until now from the comparison: a backup,
// or a standby that lags, does not have it.
func (l *lab) dropAcknowledged() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.acked)
}

// row is a row of the publisher, or an effect of it.
type row struct {
	Request uuid.UUID // of a row
	ID      uuid.UUID
	Account string
	At      time.Time
}

func (l *lab) rows(db *database.DB, query string) []row {
	l.t.Helper()
	var found []row
	testkit.Eventually(l.t, patience, func() string {
		found = nil
		if err := db.Gorm.Raw(query).Scan(&found).Error; err != nil {
			return err.Error()
		}
		return ""
	})
	return found
}

// settle waits until everything committed has taken effect, and returns how much that is
// and how long after the fault it was.
func (l *lab) settle() string {
	l.t.Helper()
	made := l.rows(l.published, `SELECT request, id, account, at FROM deposits ORDER BY account, n`)
	known := make(map[uuid.UUID]time.Time, len(made)) // events, and when they were published
	there := make(map[uuid.UUID]bool, len(made))      // requests
	want := map[string][]uuid.UUID{}
	for _, r := range made {
		known[r.ID], there[r.Request] = r.At, true
		want[r.Account] = append(want[r.Account], r.ID)
	}
	missing := 0
	for id := range l.acked {
		if !there[id] {
			missing++
		}
	}
	if missing > 0 {
		l.t.Errorf("%d of %d acknowledged deposits are not there", missing, len(l.acked))
	}
	var gone int
	var took []time.Duration
	testkit.Eventually(l.t, patience, func() string {
		var problem string
		gone, took, problem = l.compare(want, known)
		return problem
	})
	if len(took) == 0 {
		l.t.Fatal("nothing took effect")
	}
	slices.Sort(took)
	return fmt.Sprintf("%d events, each once, in order, %v after the fault; %d during it took %v (p50), %v (p99); "+
		"%d unknown commits settled; %d effects of what is gone",
		len(made), time.Since(l.faultEnded).Round(10*time.Millisecond), len(took), took[len(took)/2].Round(time.Millisecond),
		took[len(took)*99/100].Round(time.Millisecond), l.unknown.Swap(0), gone)
}

// compare returns how long the events of the latest fault took, and what is still
// missing; what is wrong for good ends the test.
func (l *lab) compare(
	want map[string][]uuid.UUID, known map[uuid.UUID]time.Time,
) (gone int, took []time.Duration, problem string) {
	l.t.Helper()
	got, seen, there := map[string][]uuid.UUID{}, map[uuid.UUID]bool{}, 0
	for _, r := range l.rows(l.applied, `SELECT id, account, at FROM effects ORDER BY seq`) {
		if seen[r.ID] {
			l.t.Fatalf("%v took effect twice", r.ID)
		}
		seen[r.ID] = true
		published, ok := known[r.ID]
		if !ok {
			gone++
			continue
		}
		if published.After(l.faultBegan) {
			took = append(took, r.At.Sub(published))
		}
		there++
		got[r.Account] = append(got[r.Account], r.ID)
	}
	for account, ids := range got {
		for i, id := range ids {
			if want[account][i] != id {
				l.t.Fatalf("%s: effects %v, committed %v", account, ids[i:], want[account][i:])
			}
		}
	}
	if there != len(known) {
		return gone, nil, fmt.Sprintf("%d effects of %d events", there, len(known))
	}
	return gone, took, ""
}
