package events_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
)

// A group that is registered and not there, because somebody deleted it or
// Redis lost it and its service is down, keeps what it needs.
func TestTrimmingKeepsWhatAMissingGroupNeeds(t *testing.T) {
	b := setup(t)
	b.publish("a", 1, 20)
	part := partOf(b, "a")
	stream := events.StreamName(publisher, part)
	if err := b.redis.XGroupCreateMkStream(t.Context(), stream, "missing", "0").Err(); err != nil {
		t.Fatal(err)
	}
	b.relay()
	b.consume(record)
	b.expect("a", 20)
	testkit.Eventually(t, 15*time.Second, func() string {
		if n := scan[int](b, b.from, `SELECT count(*) FROM event_groups WHERE consumer = 'missing' AND part = ?`, part); n != 1 {
			return "group is not registered yet"
		}
		return ""
	})
	if err := b.redis.XGroupDestroy(t.Context(), stream, "missing").Err(); err != nil {
		t.Fatal(err)
	}
	b.publish("a", 21, 25)
	b.expect("a", 25)
	gone := scan[time.Time](b, b.from, `SELECT now()`)
	testkit.Eventually(t, time.Minute, func() string {
		if n := b.redis.XLen(t.Context(), stream).Val(); n < 25 {
			t.Fatalf("%d entries are left of the 25 that the missing group needs", n)
		}
		trimmed := scan[float64](b, b.from, `
SELECT coalesce(max(extract(epoch FROM seen_at - ?)), 0)::float8 FROM event_groups WHERE consumer = ? AND part = ?`, gone, subscriber, part)
		if trimmed < 11 { // twice
			return fmt.Sprintf("trimmed for %v s", trimmed)
		}
		return ""
	})
}
