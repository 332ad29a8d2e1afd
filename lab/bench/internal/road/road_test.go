package road_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/lab/labtest"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/lab/bench/internal/road"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventsHaveTheirSize(t *testing.T) {
	t.Parallel()
	for _, e := range []road.Event{road.NewEvent(1, 0), road.NewEvent(123_456, 1_000_000), road.NewEvent(9, -30)} {
		data, err := json.Marshal(e)
		if err != nil || len(data) != road.Size {
			t.Errorf("event %d has %d bytes, error %v", e.N, len(data), err)
		}
	}
}

// seen counts deliveries of each event.
type seen struct {
	mu    sync.Mutex
	times map[int]int
}

func (s *seen) handle(e road.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times[e.N]++
}

// lacks says which of the events 0 to n-1 are missing.
func (s *seen) lacks(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		if s.times[i] == 0 {
			return fmt.Sprintf("event %d of %d is missing", i, n)
		}
	}
	return ""
}

func TestEveryRoadDeliversAll(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	for name, open := range map[string]func(context.Context) (road.Road, error){
		"floor":   func(ctx context.Context) (road.Road, error) { return road.NewFloor(ctx, l) },
		"ours":    func(ctx context.Context) (road.Road, error) { return road.NewOurs(ctx, l) },
		"default": func(ctx context.Context) (road.Road, error) { return road.NewWatermill(ctx, l, road.Tuning{}) },
		"tuned":   func(ctx context.Context) (road.Road, error) { return road.NewWatermill(ctx, l, road.Tuned) },
	} {
		t.Run(name, func(t *testing.T) {
			r, err := open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}()
			deliversAll(t, r)
		})
	}
}

// deliversAll brings events onto the road in each of the ways there are.
func deliversAll(t *testing.T, r road.Road) {
	const written, filled, stocked = 20, 60, 40
	events := road.NewEvents(1, written+filled+stocked)
	s := &seen{times: map[int]int{}}
	stopReceiver := testkit.Run(t, func(ctx context.Context) error { return r.Deliver(ctx, s.handle) })
	defer stopReceiver()

	if err := r.Fill(t.Context(), events[:filled]); err != nil {
		t.Fatal(err)
	}
	stopCarrier := testkit.Run(t, r.Carry)
	for _, e := range events[filled : filled+written] {
		if err := r.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, 15*time.Second, func() string { return s.lacks(filled + written) })
	stopCarrier()
	if err := r.Stock(t.Context(), events[filled+written:]); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 15*time.Second, func() string { return s.lacks(len(events)) })
	if n, err := r.Streamed(t.Context()); err != nil || n != int64(len(events)) {
		t.Errorf("the stream was given %d entries for %d events, error %v", n, len(events), err)
	}
}

func TestAnotherInstanceTakesOver(t *testing.T) {
	t.Parallel()
	ours, err := road.NewOurs(t.Context(), labtest.Open(t))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	a, errA := ours.Start(t.Context())
	b, errB := ours.Start(t.Context())
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	testkit.Eventually(t, 10*time.Second, func() string {
		leader, err := ours.Leader(t.Context())
		if err != nil || (leader != a.Number && leader != b.Number) {
			return fmt.Sprintf("leader %d, error %v", leader, err)
		}
		if leader == b.Number {
			a, b = b, a
		}
		return ""
	})
	defer b.Stop()
	if err := a.Kill(); err != nil {
		t.Error(err)
	}
	if err := b.Write(t.Context(), road.NewEvent(1, 0)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, func() string {
		if n, err := ours.Streamed(t.Context()); err != nil || n != 1 {
			return fmt.Sprintf("the stream was given %d entries, error %v", n, err)
		}
		return ""
	})
}
