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
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
)

// slow delays each command.

// DialHook implements redis.Hook.

// ProcessHook implements redis.Hook.

// ProcessPipelineHook implements redis.Hook.

// Redis takes 100 ms a command, 64 times a round: events flow all the same.

// Redis is not there from the beginning to the end.

// Redis is full and evicts nothing: events arrive, and there is room again once

// what is old is trimmed.

// A backup reads the log for a long time, and another session stands

// in line with a lock that waits for it.

// The database's clock is days ahead, or was when rows were written: nothing

// stands, and retention never takes all of the log.

// A database that is away for ten seconds makes a few lines, not hundreds.

func TestDatabaseOutageIsLoggedOnce(t *testing.T) {
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
		Instance: rand.Int64(), DB: postgres.NewConsumer(db, subscriber), Source: b.log(), Subscriptions: handledBy(record),
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

// An instance stops while its handler is in the middle of a batch:

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
