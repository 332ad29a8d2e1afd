package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/lab/bench/internal/pipeline"
	"github.com/go-troika/troika/lab/bench/internal/servers/serverstest"
	"github.com/go-troika/troika/pkg/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventsHaveTheirSize(t *testing.T) {
	t.Parallel()
	for _, e := range []pipeline.Event{pipeline.NewEvent(1, 0), pipeline.NewEvent(123_456, 1_000_000),
		pipeline.NewEvent(9, -30)} {
		data, err := json.Marshal(e)
		if err != nil || len(data) != pipeline.Size {
			t.Errorf("event %d has %d bytes, error %v", e.N, len(data), err)
		}
	}
}

// seen counts deliveries of each event.
type seen struct {
	mu    sync.Mutex
	times map[int]int
}

func (s *seen) handle(e pipeline.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times[e.N]++
}

// lacks returns which of the events 0 to n-1 is missing.
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

func TestEveryPipelineDeliversAll(t *testing.T) {
	t.Parallel()
	s := serverstest.Open(t)
	for name, open := range map[string]func(context.Context) (pipeline.Pipeline, error){
		"baseline": func(ctx context.Context) (pipeline.Pipeline, error) { return pipeline.NewBaseline(ctx, s) },
		"ours":     func(ctx context.Context) (pipeline.Pipeline, error) { return pipeline.NewOurs(ctx, s) },
		"default": func(ctx context.Context) (pipeline.Pipeline, error) {
			return pipeline.NewWatermill(ctx, s, pipeline.Tuning{})
		},
		"tuned": func(ctx context.Context) (pipeline.Pipeline, error) {
			return pipeline.NewWatermill(ctx, s, pipeline.Tuned)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			deliversAll(t, p)
		})
	}
}

// deliversAll hands events over in each of the ways there are.
func deliversAll(t *testing.T, p pipeline.Pipeline) {
	const written, filled, streamed = 20, 60, 40
	events := pipeline.NewEvents(1, written+filled+streamed)
	s := &seen{times: map[int]int{}}
	stopConsumer := testkit.Run(t, func(ctx context.Context) error { return p.Consume(ctx, s.handle) })
	defer stopConsumer()

	if err := p.FillOutbox(t.Context(), events[:filled]); err != nil {
		t.Fatal(err)
	}
	stopRelay := testkit.Run(t, p.Relay)
	for _, e := range events[filled : filled+written] {
		if err := p.Write(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, 15*time.Second, func() string { return s.lacks(filled + written) })
	stopRelay()
	if err := p.FillStream(t.Context(), events[filled+written:]); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 15*time.Second, func() string { return s.lacks(len(events)) })
	if n, err := p.Appended(t.Context()); err != nil || n != int64(len(events)) {
		t.Errorf("the stream got %d entries for %d events, error %v", n, len(events), err)
	}
}

func TestAnotherInstanceTakesOver(t *testing.T) {
	t.Parallel()
	ours, err := pipeline.NewOurs(t.Context(), serverstest.Open(t))
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
	if err := b.Write(t.Context(), pipeline.NewEvent(1, 0)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, func() string {
		if n, err := ours.Appended(t.Context()); err != nil || n != 1 {
			return fmt.Sprintf("the stream got %d entries, error %v", n, err)
		}
		return ""
	})
}
