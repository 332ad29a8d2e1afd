package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
)

const (
	steady = 5 * time.Millisecond // between the deposits of a writer
	moment = 700 * time.Millisecond
)

// TestEventsUnderFaultsOfTheirServers does one fault after another to the same system,
// and after each compares.
func TestEventsUnderFaultsOfTheirServers(t *testing.T) {
	pair := startRedisPair(t)
	l := newLab(t, pair.open)
	l.redis = pair
	l.each([]fault{
		{"nothing", func() { l.under(steady, pause) }},
		{"the publisher's Postgres crashes under writers at full speed", l.crashed},
		{"the subscriber's Postgres crashes", func() { l.under(steady, func() { l.crash(l.to) }) }},
		{"the publisher is restored", func() { l.restored(l.from, publisher) }},
		{"the subscriber is restored", func() { l.restored(l.to, subscriber) }},
		{"both are restored, and Redis is empty", l.restoredBoth},
		{"the publisher's clock is ten days ahead, and back", func() { l.clock(publisher) }},
		{"the subscriber's clock is ten days ahead, and back", func() { l.clock(subscriber) }},
		{"failover to a synchronous standby", func() { l.failover(true) }},
		{"failover to a standby that lags", func() { l.failover(false) }},
		{"there is no Redis from the beginning to the end of 10,000 events", l.noRedis},
		{"failover of Redis, whose replica lags", func() {
			l.under(steady,
				func() { pause(); l.redis.failover(2 * moment); pause() })
		}},
		{"Redis is slow", l.slowRedis},
		{"Redis is full", l.fullRedis},
		{"a week without events, and nothing left in log and Redis", l.quietWeek},
		{"a hundred poisoned keys of a thousand", l.poisoned},
		{"keys of 490 bytes, events of 200 KiB, one of ten poisoned", l.huge},
		{"what all handlers need is away", l.handlersDown},
		{"4, 16 and 4 partitions", l.repartitioned},
	})
}

// fault is applied under writers.
type fault struct {
	name string
	do   func()
}

// each does one fault after another, and after each compares.
func (l *lab) each(faults []fault) {
	t := l.t
	for _, f := range faults {
		if !t.Run(f.name, func(sub *testing.T) {
			l.t = sub
			defer func() { l.t = t }()
			for range *rounds {
				f.do()
			}
			sub.Log(l.settle())
		}) {
			break
		}
	}
}

func pause() { <-time.After(moment) }

func (l *lab) crash(s *server) {
	for range 3 {
		pause()
		s.crash()
		s.start()
	}
}

func (l *lab) crashed() { l.under(0, func() { l.crash(l.from) }) }

// restored brings a database back to an earlier commit, under the live services.
func (l *lab) restored(s *server, name string) {
	l.under(steady, func() {
		pause()
		s.backup(name)
		pause()
		s.restore(name)
		if name == publisher {
			l.dropAcknowledged()
		}
		pause()
	})
}

func (l *lab) restoredBoth() {
	l.under(steady, func() {
		pause()
		l.from.backup(publisher)
		l.to.backup(subscriber)
		pause()
		l.from.restore(publisher)
		l.dropAcknowledged()
		l.to.restore(subscriber)
		l.redis.flush()
		pause()
	})
}

// step sets the clock of a database.
func (l *lab) step(name string, days int) {
	db := l.published
	if name == subscriber {
		db = l.applied
	}
	l.exec(db, fmt.Sprintf(`UPDATE stepped.by SET days = %d`, days))
	var seen int
	const query = `SELECT round(extract(epoch FROM clock_timestamp() - pg_catalog.clock_timestamp()) / 86400)`
	err := db.Gorm.Raw(query).Row().Scan(&seen)
	if err != nil || seen != days {
		l.t.Fatalf("the clock of %s is %d days ahead, %v; want %d", name, seen, err, days)
	}
}

func (l *lab) clock(name string) {
	l.under(steady, func() {
		for _, days := range []int{10, 0, -10, 0} {
			l.step(name, days)
			pause()
		}
	})
}

// failover kills the publisher's server and promotes its standby, a synchronous one, or
// one that has lost the connection a moment before. The next standby takes its place.
func (l *lab) failover(synchronous bool) {
	other := "127.0.0.1"
	if l.from.host == other {
		other = "127.0.0.2"
	}
	standby := l.from.standby(other)
	l.under(steady, func() {
		if synchronous {
			l.from.exec("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
			pause()
		} else {
			pause()
			standby.exec("ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
			pause()
		}
		l.from.crash()
		standby.exec("SELECT pg_promote()")
		standby.exec("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
		if !synchronous {
			l.dropAcknowledged() // now: a writer may note late what the old server acknowledged
		}
		l.from = standby
		pause()
	})
}

// slowRedis has Redis stand for 100 ms before each round of commands.
func (l *lab) slowRedis() {
	l.under(steady, func() {
		for began := time.Now(); time.Since(began) < 3*moment; {
			if err := l.redis.primary.client.Do(l.t.Context(), "DEBUG", "SLEEP", "0.1").Err(); err != nil {
				l.t.Fatal(err)
			}
		}
	})
}

func (l *lab) noRedis() {
	l.redis.primary.kill()
	l.redis.follow.kill()
	l.under(steady, func() {
		begin := l.count()
		testkit.Eventually(l.t, 5*patience, func() string { // 50 s at the rate of steady
			if n := l.count() - begin; n < 10_000 {
				return fmt.Sprintf("%d events", n)
			}
			return ""
		})
	})
	l.t.Log("without Redis: ", l.settle())
	l.redis.primary.start()
	l.redis.follow.start()
	l.redis.follows()
}

// count counts what was published.
func (l *lab) count() (n int) {
	l.t.Helper()
	if err := l.published.Gorm.Raw(`SELECT count(*) FROM deposits`).Row().Scan(&n); err != nil {
		l.t.Fatal(err)
	}
	return n
}

func (l *lab) fullRedis() {
	l.under(steady, func() {
		l.redis.primary.set("maxmemory", "1mb")
		if err := l.redis.primary.client.Set(l.t.Context(), "x", "y", 0).Err(); err == nil {
			l.t.Error("a full Redis takes more")
		}
		pause()
		pause()
		l.redis.primary.set("maxmemory", "0")
		pause()
	})
}

func (l *lab) quietWeek() {
	l.settle()
	l.step(publisher, 8)
	l.step(subscriber, 8)
	l.exec(l.published, `DELETE FROM event_log`)
	l.redis.flush()
	l.under(steady, pause)
}

// refusing makes the handlers refuse some accounts' events under writers, and logs how
// long after the last write events of the others had taken effect.
func (l *lab) refusing(refuse func(account string) bool) {
	l.refuse.Store(&refuse)
	defer l.refuse.Store(nil)
	l.under(steady, func() { pause(); pause() })
	made := map[uuid.UUID]bool{}
	for _, r := range l.rows(l.published, `SELECT id, account FROM deposits`) {
		if !refuse(r.Account) {
			made[r.ID] = true
		}
	}
	testkit.Eventually(l.t, patience, func() string {
		there := 0
		for _, r := range l.rows(l.applied, `SELECT id, account FROM effects`) {
			if made[r.ID] {
				there++
			}
		}
		if there < len(made) {
			return fmt.Sprintf("%d effects of %d events that nothing refuses", there, len(made))
		}
		return ""
	})
	l.t.Logf("others' events within %v", time.Since(l.faultEnded).Round(10*time.Millisecond))
}

func (l *lab) poisoned() {
	l.refusing(func(account string) bool { return strings.HasSuffix(account, "7") })
}

func (l *lab) huge() {
	l.keyPadding = "-" + strings.Repeat("k", 480)
	l.size.Store(200 << 10)
	defer func() { l.keyPadding = "" }()
	defer l.size.Store(0)
	l.refusing(func(account string) bool { return strings.Contains(account, "7-k") })
}

func (l *lab) handlersDown() {
	l.under(steady, func() {
		all := func(string) bool { return true }
		l.refuse.Store(&all)
		pause()
		pause()
		l.refuse.Store(nil)
		pause()
	})
}

func (l *lab) repartitioned() {
	l.under(steady, func() {
		for _, n := range []int{16, 4} {
			pause()
			if _, err := postgres.NewLog(l.published.Pool()).Repartition(l.t.Context(), n); err != nil {
				l.t.Fatal(err)
			}
		}
		pause()
	})
}
