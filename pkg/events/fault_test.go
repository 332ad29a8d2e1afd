package events_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events/consumer"
	"github.com/go-troika/troika/pkg/events/relay"
	"github.com/go-troika/troika/pkg/testkit"
)

// slow delays each command.
type slow time.Duration

// DialHook implements redis.Hook.
func (s slow) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (s slow) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		time.Sleep(time.Duration(s))
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook.
func (s slow) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(len(cmds)) * time.Duration(s)):
			return next(ctx, cmds)
		}
	}
}

// Redis takes 100 ms a command, 64 times a round: events flow all the same.
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

// Redis is not there from the beginning to the end.
func TestNoRedis(t *testing.T) {
	b := setup(t)
	b.redis = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { b.redis.Close() })
	b.relay()
	b.consume(record)
	b.publish("a", 1, 50)
	b.expect("a", 50)
}

// Redis is full and evicts nothing: events arrive, and there is room again once
// what is old is trimmed.
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

// Somebody reads the log for as long as a backup takes, and somebody else stands
// in line with a lock that waits for it.
func TestLongReaderOfTheLogHoldsNobodyUp(t *testing.T) {
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

// The database's clock is days ahead, or was when rows were written: nothing
// stands, and retention never takes all of the log.
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
	log := relay.NewPostgres(b.from.Pool())
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

// A database that is away for ten seconds makes a few lines, not hundreds.
func TestDatabaseAwayIsLoggedOnce(t *testing.T) {
	b := setup(t)
	b.relay()
	var mu sync.Mutex
	var log bytes.Buffer
	db := testkit.Open(t, b.to.Name())
	deps := testkit.EventDeps(t)
	deps.Log = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil))
	c := consumer.New(consumer.Options{
		Name: subscriber, Instance: rand.Int64(), DB: consumer.NewPostgres(db, subscriber), Source: b.log(), Subscriptions: handledBy(record),
		Streams: consumer.NewRedis(func() redis.UniversalClient {
			own := *b.redis.Options()
			own.PoolSize = 1
			return redis.NewClient(&own)
		}, testkit.Env),
		Config: testkit.EventConfig(), Deps: deps,
	})
	testkit.Run(t, c.Run)
	b.publish("a", 1, 10)
	b.expect("a", 10)
	b.exec(b.from, `ALTER DATABASE `+b.to.Name()+` ALLOW_CONNECTIONS false`)
	b.exec(b.from, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ?`, b.to.Name())
	b.publish("a", 11, 50)
	<-time.After(5 * time.Second)
	b.exec(b.from, `ALTER DATABASE `+b.to.Name()+` ALLOW_CONNECTIONS true`)
	testkit.Eventually(t, limit, func() string { // the pool's connections are gone, and a pooler may remember
		if err := b.to.Ping(t.Context()); err != nil {
			return err.Error()
		}
		return ""
	})
	b.expect("a", 50)
	mu.Lock()
	defer mu.Unlock()
	if n := bytes.Count(log.Bytes(), []byte("\n")); n == 0 || n > 30 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}

type writerFunc func([]byte) (int, error)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

var victim = flag.Bool("events.victim", false, "be the process that TestConsumerKilledInMidHandler kills")

// site says where the victim's databases are.
type site struct {
	From, To       string
	Addr, Password string // of Redis
	DB             int
}

const inHand = "in hand"

// A process is killed while its handler has written and not returned; another
// takes the event.
func TestConsumerKilledInMidHandler(t *testing.T) {
	if *victim {
		beVictim(t)
		return
	}
	b := setup(t)
	b.relay()
	b.publish("a", 1, 20)
	at := b.redis.Options()
	where, err := json.Marshal(site{b.from.Name(), b.to.Name(), at.Addr, at.Password, at.DB})
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestConsumerKilledInMidHandler$", "-events.victim")
	child.Stdin = bytes.NewReader(where)
	said, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && lines.Text() != inHand {
	}
	if lines.Text() != inHand {
		t.Errorf("the victim ended without its handler")
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, said)
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("victim: %v", err)
	}
	b.consume(record)
	b.publish("a", 21, 25)
	b.expect("a", 25)
}

func beVictim(t *testing.T) {
	var s site
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr, Password: s.Password, DB: s.DB})
	t.Cleanup(func() { rdb.Close() })
	db, from := testkit.Open(t, s.To), testkit.Open(t, s.From)
	testkit.Consumer(t, subscriber, db, rdb, testkit.Logs{publisher: from}, handledBy(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if err := record(ctx, tx, d); err != nil || d.N < 10 {
			return err
		}
		fmt.Println(inHand)
		select {} // until it is killed
	}))
	select {}
}

// An instance is asked to stop while its handler is in the middle of a batch:
// it finishes the batch, and another goes on behind it.
func TestStopInMidBatch(t *testing.T) {
	b := setup(t)
	b.relay()
	b.publish("a", 1, 50)
	b.placed(50)
	hold := errors.New("told to go on")
	handling, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stop := b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.N == 20 {
			once.Do(func() { close(handling) })
			select {
			case <-goOn:
			case <-ctx.Done():
				return hold
			}
		}
		return record(ctx, tx, d)
	})
	<-handling
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	b.consume(record)
	if n := len(b.effects("a")); n != 0 {
		t.Errorf("%d effects of an open transaction", n)
	}
	close(goOn)
	<-stopped
	b.expect("a", 50)
}
