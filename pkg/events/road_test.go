package events_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestPublishOutsideTransactionIsRefused(t *testing.T) {
	b := setup(t)
	err := events.Publish(t.Context(), b.from.Gorm, deposited, deposit{"a", 1})
	if !errors.Is(err, events.ErrNoTransaction) {
		t.Errorf("got %v, want ErrNoTransaction", err)
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
