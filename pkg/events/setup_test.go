package events_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

const (
	publisher  = "ledger"
	subscriber = "mirror"

	limit = 45 * time.Second // for what takes far less, on a machine with other things to do
)

// deposit is what the tests publish: the n-th of an account.
type deposit struct {
	Account string `json:"account"`
	N       int    `json:"n"`
}

var (
	deposited = events.NewType(publisher, "deposit.made", 1, account)
	closed    = events.NewType(publisher, "account.closed", 1, account).Erasing()
)

func account(d deposit) string { return d.Account }

// bus is a publishing and a subscribing service, each with its database, and a
// Redis between them. Neither relay nor consumer runs yet.
type bus struct {
	t     *testing.T
	from  *database.DB
	to    *database.DB
	redis *redis.Client
}

const effectsTable = `CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, account text, n int)`

func setup(t *testing.T) *bus {
	t.Helper()
	t.Parallel()
	return open(t)
}

func open(t *testing.T) *bus {
	t.Helper()
	b := &bus{
		t: t, redis: testkit.Redis(t), from: testkit.Postgres(t, publisher, nil), to: testkit.Postgres(t, subscriber, nil),
	}
	b.exec(b.to, effectsTable)
	return b
}

func (b *bus) exec(db *database.DB, query string, args ...any) {
	b.t.Helper()
	if err := db.Gorm.Exec(query, args...).Error; err != nil {
		b.t.Fatal(err)
	}
}

// publish commits one transaction per deposit.
func (b *bus) publish(account string, from, to int) {
	b.t.Helper()
	for n := from; n <= to; n++ {
		err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
			return events.Publish(b.t.Context(), tx, deposited, deposit{account, n})
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bus) relay() (stop func()) {
	b.t.Helper()
	return testkit.Relay(b.t, publisher, b.from, b.redis)
}

func (b *bus) consume(h events.Handler[deposit]) (stop func()) {
	b.t.Helper()
	db := testkit.Open(b.t, b.to.Name())
	return testkit.Consumer(b.t, subscriber, db, b.redis, b.log(), handledBy(h))
}

// log is the publisher's log.
func (b *bus) log() testkit.Logs { return testkit.Logs{publisher: b.from} }

func handledBy(h events.Handler[deposit]) *events.Subscriptions {
	s := events.NewSubscriptions()
	events.On(s, deposited, h)
	return s
}

// record is the handler that notes what it was given.
func record(_ context.Context, tx *gorm.DB, d deposit) error {
	return tx.Exec(`INSERT INTO effects (account, n) VALUES (?, ?)`, d.Account, d.N).Error
}

// effects returns what was applied for an account, in the order of application.
func (b *bus) effects(account string) []int {
	b.t.Helper()
	return effectsIn(b.t, b.to, account)
}

func effectsIn(t *testing.T, db *database.DB, account string) []int {
	t.Helper()
	var n []int
	if err := db.Gorm.Raw(`SELECT n FROM effects WHERE account = ? ORDER BY id`, account).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// expect waits until exactly 1..n was applied for the account, in order.
func (b *bus) expect(account string, n int) {
	b.t.Helper()
	testkit.Eventually(b.t, limit, func() string {
		return b.differs(account, n)
	})
}

func (b *bus) differs(account string, n int) string {
	got := b.effects(account)
	if len(got) != n {
		return fmt.Sprintf("%s: %d effects, want %d (%v)", account, len(got), n, got)
	}
	for i, v := range got {
		if v != i+1 {
			b.t.Fatalf("%s: effects out of order: %v", account, got)
		}
	}
	return ""
}

// streams are the publisher's streams that exist.
func (b *bus) streams() []string {
	b.t.Helper()
	keys, err := b.redis.Keys(b.t.Context(), testkit.Env+":events:{"+publisher+":*").Result()
	if err != nil {
		b.t.Fatal(err)
	}
	return keys
}

// entries counts the entries of the publisher's streams.
func (b *bus) entries() int {
	b.t.Helper()
	n := 0
	for _, stream := range b.streams() {
		l, err := b.redis.XLen(b.t.Context(), stream).Result()
		if err != nil {
			b.t.Fatal(err)
		}
		n += int(l)
	}
	return n
}

// scan reads one value.
func scan[T any](b *bus, db *database.DB, query string, args ...any) T {
	b.t.Helper()
	var v sql.Null[T]
	if err := db.Gorm.Raw(query, args...).Row().Scan(&v); err != nil {
		b.t.Fatal(err)
	}
	return v.V
}
