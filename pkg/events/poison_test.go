package events_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/tracing"
)

// One event among a hundred of other keys cannot be handled, and ten of its own
// key follow it.
func TestPoisonedEventAmongOthers(t *testing.T) {
	b := setup(t)
	b.relay()
	var cured atomic.Bool
	c := b.operated(func(ctx context.Context, tx *gorm.DB, d deposit) error {
		if d.Account == "poisoned" && d.N == 1 && !cured.Load() {
			return errors.New("cannot be handled")
		}
		return record(ctx, tx, d)
	})
	trace := b.publishTraced(deposit{"poisoned", 1})
	b.publish("poisoned", 2, 11)
	for i := range 99 {
		b.publish(fmt.Sprint("key-", i), 1, 1)
	}
	for i := range 99 { // while the poisoned one waits
		b.expect(fmt.Sprint("key-", i), 1)
	}
	b.waitParked(c, "waiting", 11)

	dead := b.letDie(c)
	if dead.Key != "poisoned" || dead.Attempts != 10 || dead.Error != "cannot be handled" || !strings.Contains(dead.Envelope, trace) {
		t.Errorf("dead letter %+v, want ten attempts, the error and the trace %s", dead, trace)
	}
	b.publish("poisoned", 12, 12) // waits as well
	b.waitParked(c, "waiting", 11)
	b.expect("poisoned", 0)

	cured.Store(true)
	if n, err := c.Redrive(t.Context(), events.Selection{ID: dead.ID}); n != 1 || err != nil {
		t.Errorf("redriven %d, %v", n, err)
	}
	b.expect("poisoned", 12)
	b.waitParked(c, "", 0)
}

// publishTraced publishes in a trace and gives the trace's id.
func (b *bus) publishTraced(d deposit) string {
	b.t.Helper()
	ctx, span := testkit.EventDeps(b.t).Tracer.Start(b.t.Context(), "deposit")
	defer span.End()
	err := b.from.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		return events.Publish(ctx, tx, deposited, d)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return tracing.TraceIDHex(ctx)
}

// letDie makes every attempt due at once, eight minutes of them, and waits for
// the one event to be dead.
func (b *bus) letDie(c *events.Consumer) events.Parked {
	b.t.Helper()
	var dead []events.Parked
	testkit.Eventually(b.t, 30*time.Second, func() string {
		b.exec(b.to, `UPDATE event_parked SET next_at = now() WHERE state = 'waiting'`)
		var err error
		if dead, err = c.Parked(b.t.Context(), "dead", 0, 10); err != nil {
			return err.Error()
		}
		if len(dead) != 1 {
			return fmt.Sprintf("%d events are dead", len(dead))
		}
		return ""
	})
	return dead[0]
}
