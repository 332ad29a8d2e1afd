package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

var victim = flag.Bool("events.victim", false, "be the process that TestConsumerKilledInMidHandler kills")

// site says where the victim's databases are.
type site struct {
	From, To       string
	Addr, Password string // of Redis
	DB             int
}

const inHand = "in hand\n"

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
	heard := make([]byte, len(inHand))
	if _, err := io.ReadFull(said, heard); err != nil || string(heard) != inHand {
		t.Errorf("victim says %q, %v", heard, err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
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
	testkit.Consumer(t, subscriber, db, rdb, testkit.LogOf(from), func(c *events.Consumer) {
		events.On(c, deposited, func(ctx context.Context, tx *gorm.DB, d deposit) error {
			if err := record(ctx, tx, d); err != nil || d.N < 10 {
				return err
			}
			fmt.Print(inHand)
			select {} // until it is killed
		})
	})
	select {}
}

// The consumer's database takes no connections for ten seconds.
func TestConsumersDatabaseIsAway(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.publish("a", 1, 10)
	b.expect("a", 10)
	b.exec(b.from, `ALTER DATABASE `+b.to.Name()+` ALLOW_CONNECTIONS false`)
	b.exec(b.from, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ?`, b.to.Name())
	back := time.Now().Add(10 * time.Second)
	for n := 11; time.Now().Before(back); n++ {
		b.publish("b", n-10, n-10)
		if n <= 50 {
			b.publish("a", n, n)
		}
	}
	b.exec(b.from, `ALTER DATABASE `+b.to.Name()+` ALLOW_CONNECTIONS true`)
	b.expect("a", 50)
	b.expect("b", scan[int](b, b.from, `
SELECT count(*) FROM (SELECT key FROM event_outbox UNION ALL SELECT key FROM event_log) e WHERE key = 'b'`))
}

// The events are handled and committed, and Redis never hears of it: its
// connection breaks off before the acknowledgement, or before the answer to it.
func TestLostAcknowledgement(t *testing.T) {
	for _, v := range []testkit.Verdict{testkit.Cut, testkit.CutReply} {
		t.Run(fmt.Sprint(v), func(t *testing.T) {
			b := setup(t)
			b.relay()
			proxy := testkit.NewProxy(t, b.redis.Options().Addr)
			own := *b.redis.Options()
			own.Addr, own.MaxRetries, own.Dialer = proxy.Addr(), -1, nil
			rdb := redis.NewClient(&own)
			t.Cleanup(func() { rdb.Close() })
			var lost atomic.Int64
			proxy.Judge(func(sent []byte) testkit.Verdict {
				if bytes.Contains(bytes.ToLower(sent), []byte("xack")) && lost.Add(1) <= 8 {
					return v
				}
				return testkit.Pass
			})
			db := testkit.Open(t, b.to.Name())
			testkit.Consumer(t, subscriber, db, rdb, testkit.LogOf(b.from), func(c *events.Consumer) {
				events.On(c, deposited, record)
			})
			for n := 1; n <= 20; n++ {
				b.publish("a", n, n)
				b.expect("a", n)
			}
			if lost.Load() < 8 {
				t.Errorf("%d acknowledgements sent, want more", lost.Load())
			}
			stream := events.StreamName(publisher, partOf(b, "a"))
			testkit.Eventually(t, patience, func() string {
				if p := b.redis.XPending(t.Context(), stream, subscriber).Val(); p == nil || p.Count > 0 {
					return fmt.Sprintf("pending %+v", p)
				}
				return ""
			})
		})
	}
}

// A handler that does not come back in time has failed; its session is gone, and
// it is tried again.
func TestHandlerThatTakesTooLong(t *testing.T) {
	b := setup(t)
	b.relay()
	var slow atomic.Int64
	b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if err := record(ctx, tx, d); err != nil {
			return err
		}
		if d.N == 3 && slow.Add(1) == 1 {
			return tx.Exec(`SELECT pg_sleep(60)`).Error
		}
		return nil
	})
	b.publish("a", 1, 5)
	testkit.Eventually(t, 2*events.HandlerTimeout+patience, func() string { return b.differs("a", 5) })
	if slow.Load() < 2 {
		t.Errorf("handled %d times", slow.Load())
	}
}

func TestHandlerThatPanicsParksItsEvent(t *testing.T) {
	b := setup(t)
	b.relay()
	c := b.operated(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if err := record(ctx, tx, d); err != nil {
			return err
		}
		if d.N == 3 {
			panic(errors.New("out of order"))
		}
		return nil
	})
	b.publish("a", 1, 5)
	b.publish("b", 1, 2)
	b.expect("b", 2)
	b.expect("a", 2)
	for _, p := range b.waitParked(c, "waiting", 3) {
		if n := nOf(t, p); n == 3 && !strings.HasPrefix(p.Error, "handler panicked: out of order") {
			t.Errorf("parked with %q", p.Error)
		}
	}
}

// nOf reads the payload of a parked event.
func nOf(t *testing.T, p events.Parked) int {
	t.Helper()
	e, err := events.ParseEnvelope([]byte(p.Envelope))
	if err != nil {
		t.Fatal(err)
	}
	var d deposit
	if err := json.Unmarshal(e.Data, &d); err != nil {
		t.Fatal(err)
	}
	return d.N
}

// partOf gives the partition of a key that has been published.
func partOf(b *bus, key string) int {
	b.t.Helper()
	return scan[int](b, b.from, `
SELECT part FROM (SELECT part, key FROM event_outbox UNION ALL SELECT part, key FROM event_log) e WHERE key = ? LIMIT 1`, key)
}
