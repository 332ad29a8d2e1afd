package events_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/testkit"
)

// signature is a payload with personal data.
type signature struct {
	Account string `json:"account"`
	Name    string `json:"name"`
}

var signed = events.NewType(publisher, "account.signed", 1, func(s signature) string { return s.Account }).Personal()

// named is the handler of signed.
func named(_ context.Context, tx *gorm.DB, s signature) error {
	return tx.Exec(`INSERT INTO effects (account, n) VALUES (?, ?)`, s.Account+" "+s.Name, 1).Error
}

// inRedis returns the text of all entries of the publisher's streams.
func (b *bus) inRedis() string {
	b.t.Helper()
	var all strings.Builder
	for _, key := range b.streams() {
		entries, err := b.redis.XRange(b.t.Context(), key, "-", "+").Result()
		if err != nil {
			b.t.Fatal(err)
		}
		fmt.Fprintln(&all, entries)
	}
	return all.String()
}

// rowsWith counts the rows of a database's event tables that contain a text.
func (b *bus) rowsWith(text string) int64 {
	b.t.Helper()
	return scan[int64](b, b.from, `SELECT (SELECT count(*) FROM event_outbox o WHERE o::text LIKE '%' || ? || '%')
		+ (SELECT count(*) FROM event_log l WHERE l::text LIKE '%' || ? || '%')`, text, text)
}

func TestPersonalDataIsNotInRedis(t *testing.T) {
	b := setup(t)
	b.relay()
	s := handledBy(record)
	events.On(s, signed, named)
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, b.log(), s)
	b.publish("plain", 1, 1)
	publishAs(t, b, signed, signature{"a", "Xanthippe"})
	b.expect("plain", 1)
	b.expect("a Xanthippe", 1)
	testkit.Eventually(t, limit, func() string {
		if got := b.inRedis(); !strings.Contains(got, "deposit.made") || !strings.Contains(got, "account.signed") {
			return "the streams lack an event"
		}
		return ""
	})
	if strings.Contains(b.inRedis(), "Xanthippe") {
		t.Error("Redis has personal data")
	}
}

// noPages is a producer whose log cannot be read.
type noPages struct{ testkit.Logs }

// Read implements events.Source.
func (noPages) Read(context.Context, string, int64, int64) (events.Page, error) {
	return events.Page{}, errors.New("no pages")
}

// A consumer that does not handle a personal event needs nothing but Redis to pass it.
func TestPersonalEventOfAnotherTypePassesBy(t *testing.T) {
	b := setup(t)
	b.relay()
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, noPages{b.log()}, handledBy(record))
	for n := 1; n <= 5; n++ {
		publishAs(t, b, signed, signature{"a", "Xanthippe"})
		b.publish("a", n, n)
	}
	b.expect("a", 5)
}

// The next release declares the type of a personal event while this one is in the batch that
// has it. The event was not erased: it passes by, and a replay of what was not seen brings it
// back.
func TestPersonalEventPassesWhileItsTypeIsDeclared(t *testing.T) {
	b := setup(t)
	b.relay()
	next := handledBy(record)
	events.On(next, signed, named)
	other := testkit.Open(t, b.to.Name())
	b.publish("a", 1, 1)
	publishAs(t, b, signed, signature{"a", "Xanthippe"})
	testkit.Eventually(t, limit, func() string {
		if n := b.entries(); n != 2 {
			return fmt.Sprintf("%d entries in the stream", n)
		}
		return ""
	})
	stop := b.consume(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if err := postgres.NewConsumer(other, subscriber).Declare(context.WithoutCancel(ctx), next); err != nil {
			return err
		}
		<-time.After(700 * time.Millisecond) // the instance learns of it, as it does twice a second
		return record(ctx, tx, d)
	})
	b.taken(2)
	stop()
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, b.log(), next)
	if _, err := b.operator().Replay(t.Context(), admin.Replay{Service: publisher, Position: new(int64), Unseen: true}); err != nil {
		t.Fatal(err)
	}
	b.expect("a Xanthippe", 1)
	b.expect("a", 1)
}

// The log's history stays whole: a consumer that comes later reads it to its end.
func TestErasedKey(t *testing.T) {
	b := setup(t)
	stop := b.relay()
	publishAs(t, b, signed, signature{"a", "Xanthippe"})
	b.publish("a", 1, 1)
	testkit.Eventually(t, limit, func() string {
		if n := scan[int64](b, b.from, `SELECT count(*) FROM event_outbox`); n > 0 {
			return fmt.Sprintf("%d events wait", n)
		}
		return ""
	})
	if _, err := postgres.NewLog(b.from.Pool()).Repartition(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	for range 120 { // more than one transaction redacts
		publishAs(t, b, signed, signature{"a", "Xanthippe"})
	}
	publishAs(t, b, signed, signature{"b", "Theano"})
	stop() // another relay continues
	publishAs(t, b, closed, deposit{"a", 2})
	publishAs(t, b, signed, signature{"a", "Ypatia"}) // after the erasure
	b.relay()

	testkit.Eventually(t, limit, func() string {
		if n := b.rowsWith("Xanthippe"); n > 0 {
			return fmt.Sprintf("%d rows have the erased data", n)
		}
		return ""
	})
	if b.rowsWith("Theano") != 1 || b.rowsWith("Ypatia") != 1 {
		t.Error("data of another key, or published after the erasure, was erased")
	}
	s := handledBy(record)
	events.On(s, signed, named)
	events.On(s, closed, record)
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, b.log(), s)
	b.taken(125)
	b.expect("a", 2)
	b.expect("b Theano", 1)
	b.expect("a Ypatia", 1)
	b.expect("a Xanthippe", 0)
	b.parked("", 0)
}

// A replay between a deletion and the redaction of the log must not bring the person back.
func TestPageLeavesOutWhatIsToBeErased(t *testing.T) {
	b := setup(t)
	log := postgres.NewLog(b.from.Pool())
	publishAs(t, b, signed, signature{"a", "Xanthippe"})
	publishAs(t, b, signed, signature{"b", "Theano"})
	move := func() {
		if _, _, err := log.Move(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	move()
	if _, err := log.Repartition(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	publishAs(t, b, signed, signature{"a", "Xenia"})
	publishAs(t, b, closed, deposit{"a", 2})
	publishAs(t, b, signed, signature{"a", "Ypatia"}) // after the erasure
	move()
	var all strings.Builder
	parts, err := log.Ask(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		page, err := log.Page(t.Context(), part.Number, part.Base.Pos)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, page.Records)
	}
	for name, want := range map[string]bool{"Xanthippe": false, "Xenia": false, "Theano": true, "Ypatia": true} {
		if strings.Contains(all.String(), name) != want {
			t.Errorf("the pages contain %s: %v", name, !want)
		}
	}
	if b.rowsWith("Xanthippe") != 1 {
		t.Error("the log was redacted meanwhile; the test shows nothing")
	}
}

// TestDeletionsOfTheFirstRelease runs the statement of docs/events.md: that release did not mark
// its events.
func TestDeletionsOfTheFirstRelease(t *testing.T) {
	b := setup(t)
	publishAs(t, b, signed, signature{"a", "Xanthippe"})
	publishAs(t, b, closed, deposit{"a", 2})
	publishAs(t, b, signed, signature{"b", "Theano"})
	b.exec(b.from, `UPDATE event_outbox SET erases = false`)
	b.relay()
	testkit.Eventually(t, limit, func() string {
		if n := scan[int64](b, b.from, `SELECT count(*) FROM event_log`); n < 3 {
			return fmt.Sprintf("%d events in the log", n)
		}
		return ""
	})
	docs, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	statement := regexp.MustCompile(`UPDATE event_log SET erases.*;`).FindString(string(docs))
	b.exec(b.from, strings.ReplaceAll(statement, "user.deleted", closed.Name()))
	testkit.Eventually(t, limit, func() string {
		if b.rowsWith("Xanthippe") > 0 {
			return "the log has the erased data"
		}
		return ""
	})
	if b.rowsWith("Theano") != 1 {
		t.Error("data of another key was erased")
	}
}

// A consumer may have parked personal data without subscribing to what erases it.
func TestErasureReachesParkedEventsOfConsumersWithoutHandler(t *testing.T) {
	b := setup(t)
	b.relay()
	s := handledBy(record)
	events.On(s, signed, func(context.Context, *gorm.DB, signature) error { return events.Permanent(errors.New("no such field")) })
	testkit.Consumer(t, subscriber, testkit.Open(t, b.to.Name()), b.redis, b.log(), s)
	publishAs(t, b, signed, signature{"a", "Xanthippe"})
	publishAs(t, b, signed, signature{"b", "Theano"})
	b.parked("dead", 2)
	publishAs(t, b, closed, deposit{"a", 1})
	b.taken(3)
	if left := b.parked("dead", 1)[0]; left.Key != "b" {
		t.Errorf("%s is parked, want only b", left.Key)
	}
}
