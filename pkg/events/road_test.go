package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestPublishedEventTakesEffectOnce(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	for i := range 5 {
		b.publish(fmt.Sprint("account-", i), 1, 20)
	}
	for i := range 5 {
		b.expect(fmt.Sprint("account-", i), 20)
	}
	if n := b.entries(); n != 100 {
		t.Errorf("%d stream entries for 100 events", n)
	}
}

func TestPublishOutsideTransactionIsRefused(t *testing.T) {
	b := setup(t)
	err := events.Publish(t.Context(), b.from.Gorm, deposited, deposit{"a", 1})
	if !errors.Is(err, events.ErrNoTransaction) {
		t.Errorf("got %v, want ErrNoTransaction", err)
	}
}

func TestRolledBackEventDoesNotExist(t *testing.T) {
	b := setup(t)
	cancelled := errors.New("cancelled")
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		if err := events.Publish(t.Context(), tx, deposited, deposit{"a", 1}); err != nil {
			return err
		}
		return cancelled
	})
	if !errors.Is(err, cancelled) {
		t.Fatal(err)
	}
	if got := testkit.Published(t, b.from); len(got) != 0 {
		t.Errorf("published %v", got)
	}
}

func TestPublishRefusesForeignTypeAndTooLargeEvent(t *testing.T) {
	b := setup(t)
	foreign := events.NewType("somebody", "x.happened", 1, func(string) string { return "k" })
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		return events.Publish(t.Context(), tx, foreign, "x")
	})
	if !errors.Is(err, events.ErrForeignType) {
		t.Errorf("got %v, want ErrForeignType", err)
	}
	large := events.NewType(publisher, "novel.written", 1, func(string) string { return "k" })
	err = b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		return events.Publish(t.Context(), tx, large, strings.Repeat("x", events.MaxEnvelope))
	})
	if !errors.Is(err, events.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// A transaction that began first and commits last is neither lost nor waited for.
func TestLateCommitIsNotSkipped(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	slow := b.from.Gorm.Begin()
	if err := events.Publish(t.Context(), slow, deposited, deposit{"slow", 1}); err != nil {
		t.Fatal(err)
	}
	b.publish("quick", 1, 50)
	b.expect("quick", 50)
	if err := slow.Commit().Error; err != nil {
		t.Fatal(err)
	}
	b.expect("slow", 1)
}

func TestConcurrentWritersKeepTheOrderOfTheirKey(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	b.exec(b.from, `CREATE TABLE accounts (name text PRIMARY KEY, n int NOT NULL DEFAULT 0)`)
	b.exec(b.from, `INSERT INTO accounts (name) VALUES ('a'), ('b')`)
	var wg sync.WaitGroup
	for _, account := range []string{"a", "b", "a", "b"} {
		wg.Go(func() {
			for range 25 {
				if err := b.deposit(account); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.expect("a", 50)
	b.expect("b", 50)
}

// deposit counts an account up under its row lock, and publishes the count.
func (b *bus) deposit(account string) error {
	return b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		var n int
		if err := tx.Raw(`UPDATE accounts SET n = n + 1 WHERE name = ? RETURNING n`, account).Scan(&n).Error; err != nil {
			return err
		}
		return events.Publish(b.t.Context(), tx, deposited, deposit{account, n})
	})
}

func TestHandlerKnowsItsEvent(t *testing.T) {
	b := setup(t)
	b.relay()
	seen := make(chan events.Meta, 1)
	b.consume(func(ctx context.Context, _ *gorm.DB, _ deposit) error {
		m, ok := events.FromContext(ctx)
		if !ok {
			t.Error("no event in the handler's context")
		}
		seen <- m
		return nil
	})
	b.publish("a", 1, 1)
	m := <-seen
	want := testkit.Published(t, b.from)[0]
	if m.ID != want.ID || m.Key != "a" || m.Attempt != 1 || !m.Published.Equal(want.Timestamp) {
		t.Errorf("got %+v for %+v", m, want)
	}
}

func TestSubscriberHearsOnlyWhatItAskedFor(t *testing.T) {
	b := setup(t)
	b.relay()
	b.consume(record)
	other := events.NewType(publisher, "audit.done", 1, func(d deposit) string { return d.Account })
	err := b.from.Gorm.Transaction(func(tx *gorm.DB) error {
		return events.Publish(t.Context(), tx, other, deposit{"a", 99})
	})
	if err != nil {
		t.Fatal(err)
	}
	b.publish("a", 1, 3)
	b.expect("a", 3)
}
