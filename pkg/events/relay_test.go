package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/testkit"
)

// slow delays each command of a client by this long.
type slow time.Duration

func (s slow) DialHook(next redis.DialHook) redis.DialHook { return next }

func (s slow) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if err := s.delay(ctx, 1); err != nil {
			return err
		}
		return next(ctx, cmd)
	}
}

func (s slow) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if err := s.delay(ctx, len(cmds)); err != nil {
			return err
		}
		return next(ctx, cmds)
	}
}

func (s slow) delay(ctx context.Context, commands int) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(commands) * time.Duration(s)):
		return nil
	}
}

func TestSlowRedis(t *testing.T) {
	b := setup(t)
	b.repartition(64)
	at := b.redis.Options()
	own := redis.NewClient(&redis.Options{Addr: at.Addr, Password: at.Password, DB: at.DB})
	t.Cleanup(func() { own.Close() })
	own.AddHook(slow(100 * time.Millisecond))
	testkit.Relay(t, publisher, b.from, own)
	b.consume(record)
	for i := range 100 {
		b.publish(fmt.Sprint("k", i), 1, 1)
	}
	testkit.Eventually(t, limit, func() string {
		if n := scan[int](b, b.to, `SELECT count(*) FROM effects`); n != 100 {
			return fmt.Sprintf("%d of 100 effects", n)
		}
		return ""
	})
}

func TestNoRedis(t *testing.T) {
	b := setup(t)
	b.redis = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { b.redis.Close() })
	b.relay()
	b.consume(record)
	b.publish("a", 1, 50)
	b.expect("a", 50)
}

func TestFullRedis(t *testing.T) {
	b := setup(t)
	b.onePart()
	b.redis = testkit.RedisServer(t, "--maxmemory", "3mb", "--maxmemory-policy", "noeviction")
	cfg := testkit.EventConfig()
	cfg.StreamCap = 100
	testkit.RelayFor(t, cfg, publisher, b.from, b.redis)
	b.consume(record)
	b.publish("a", 1, 20)
	b.expect("a", 20)
	for i := 0; ; i++ {
		if err := b.redis.Set(t.Context(), fmt.Sprint("filler", i), strings.Repeat("x", 10<<10), 0).Err(); err != nil {
			break
		}
	}
	b.publish("a", 21, 150)
	b.expect("a", 150)
	if err := b.redis.Del(t.Context(), "filler0", "filler1", "filler2", "filler3", "filler4").Err(); err != nil {
		t.Fatal(err)
	}
	b.publish("a", 151, 170)
	b.expect("a", 170)
	testkit.Eventually(t, limit, func() string {
		last, err := b.redis.XRevRangeN(t.Context(), b.stream(), "+", "-", 1).Result()
		if err != nil || len(last) != 1 || last[0].ID != "0-170" {
			return fmt.Sprintf("the stream ends with %v, %v", last, err)
		}
		return ""
	})
}

func TestLongReaderOfTheLogDelaysNothing(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.publish("a", 1, 5)
	b.expect("a", 5)
	reader := b.from.Gorm.Begin()
	if err := reader.Exec(`SELECT count(*) FROM event_log`).Error; err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback()
	b.publish("a", 6, 50)
	b.expect("a", 50)
	page, err := b.log().Read(t.Context(), publisher, scan[int64](b, b.from, `SELECT part FROM event_log LIMIT 1`), 0)
	if err != nil || len(page.Records) != 50 {
		t.Errorf("page of %d records, %v", len(page.Records), err)
	}
}

func TestRowsFromTheFuture(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.publish("a", 1, 5)
	b.expect("a", 5)
	b.exec(b.from, `UPDATE event_log SET moved_at = moved_at + interval '10 days'`)
	b.exec(b.from, `UPDATE event_source SET relay_until = relay_until + interval '10 days'`)
	b.exec(b.to, `UPDATE event_instances SET seen_at = seen_at + interval '10 days'`)
	b.publish("a", 6, 20)
	b.expect("a", 20)
	b.exec(b.from, `UPDATE event_log SET moved_at = moved_at - interval '100 days'`) // what a clock ahead makes of them
	log := postgres.NewLog(b.from.Pool())
	parts, err := log.Ask(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if p.Len() != p.Head.Pos {
			t.Errorf("part %d: %d of %d events are left", p.Number, p.Len(), p.Head.Pos)
		}
	}
}

// unreachable is a producer's database that can become unreachable.
type unreachable struct {
	relay.Database
	down atomic.Bool
}

func (d *unreachable) Lead(ctx context.Context, me int64, lease time.Duration) (bool, error) {
	if d.down.Load() {
		return false, errors.New("unreachable")
	}
	return d.Database.Lead(ctx, me, lease)
}

// A relay that lost its database does not show itself as leader, also after another
// instance has taken the lead.
func TestLeaderMetricAfterAnOutage(t *testing.T) {
	b := setup(t)
	deps := testkit.EventDeps(t)
	reg := prometheus.NewRegistry()
	deps.Metrics = reg
	db := &unreachable{Database: postgres.NewLog(b.from.Pool())}
	r := relay.New(relay.Options{
		Instance: 7, DB: db, Streams: relay.NewRedis(b.redis, testkit.Env, publisher), Config: testkit.EventConfig(), Deps: deps,
	})
	testkit.Run(t, r.Run)
	leads := func(want float64) {
		t.Helper()
		testkit.Eventually(t, limit, func() string {
			if is := metric(t, reg, "event_relay_leader"); is != want {
				return fmt.Sprintf("event_relay_leader is %v, want %v", is, want)
			}
			return ""
		})
	}
	leads(1)
	db.down.Store(true)
	leads(0)
	b.relay() // takes over
	b.publish("a", 1, 1)
	testkit.Eventually(t, limit, func() string {
		if n := scan[int](b, b.from, `SELECT count(*) FROM event_log`); n != 1 {
			return "the other relay does not lead yet"
		}
		return ""
	})
	db.down.Store(false)
	leads(0)
}

// The log of a producer whose Postgres is away is unavailable, for callers not an internal error.
func TestLogWithoutPostgres(t *testing.T) {
	t.Parallel()
	pool, err := pgxpool.New(t.Context(), "postgres://x@127.0.0.1:1/x?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	log := postgres.NewLog(pool)
	_, asked := log.Ask(t.Context(), nil)
	_, read := log.Page(t.Context(), 1, 0)
	_, repartitioned := log.Repartition(t.Context(), 2)
	for name, err := range map[string]error{"ask": asked, "page": read, "repartition": repartitioned} {
		if !errors.Is(err, database.ErrUnavailable) {
			t.Errorf("%s: %v, want ErrUnavailable", name, err)
		}
	}
}
