package relay

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/internal/backoff"
	"github.com/go-troika/troika/pkg/tracing"
)

const (
	pollMin       = 20 * time.Millisecond
	pollMax       = 500 * time.Millisecond
	leaseTime     = 1500 * time.Millisecond
	leaseCheck    = 500 * time.Millisecond // how often the leader renews and others try
	idleCheck     = time.Second            // how often an idle stream's end is checked at
	housekeepTime = 5 * time.Second
)

// Database is the relay's side of the producer's Postgres. Each method is one
// transaction. It is safe for concurrent use.
type Database interface {
	// Lead takes or renews the lease of the relay me, and reports whether me has it.
	Lead(ctx context.Context, me int64, d time.Duration) (bool, error)
	// Resign releases the lease of me.
	Resign(ctx context.Context, me int64) error
	// Move moves committed events from the outbox to the log, in the order of their
	// ids, and returns them by part. full reports that more may be left. Without sweep
	// it may skip rows that were committed late.
	Move(ctx context.Context, sweep bool) (moved map[int64][]events.Record, full bool, err error)
	// Ask is that of [events.Source].
	Ask(ctx context.Context, questions []events.Question) ([]events.Part, error)
	// Page reads as [events.Source] does.
	Page(ctx context.Context, part, pos int64) (events.Page, error)
	// Backlog returns the size of the outbox, counted up to 100,000, and the age of
	// its oldest row.
	Backlog(ctx context.Context) (int64, time.Duration, error)
	// Trim deletes at most n of a part's oldest events, those older than age, and
	// returns how many.
	Trim(ctx context.Context, part, n int64, age time.Duration) (int64, error)
	// Erase redacts personal events that an erasing one of their key follows, some of
	// them, and returns how many. more reports that some may be left.
	Erase(ctx context.Context) (n int64, more bool, err error)
}

// Batch is what comes next in the stream of a part.
type Batch struct {
	Part    events.Part
	Records []events.Record
}

// Streams is the relay's side of Redis. It is safe for concurrent use.
type Streams interface {
	// Ends returns what the streams of parts end with.
	Ends(ctx context.Context, parts []int64) ([]End, error)
	// Append adds records to streams, each stream's at once, and trims them to
	// about limit entries. It returns the parts whose stream refused one: its last
	// id is not below.
	Append(ctx context.Context, batches []Batch, limit int64) (refused []int64, err error)
	// Delete removes the streams of parts.
	Delete(ctx context.Context, parts []int64) error
}

// Relay moves events from the outbox to the log and from there to Redis, until its Run
// ends. It runs once.
type Relay struct {
	db        Database
	streams   Streams
	config    events.Config
	committed <-chan struct{}
	hints     *events.Hints
	log       *slog.Logger
	tracer    *tracing.Tracer
	now       func() time.Duration
	mover     mover
	appender  appender
	housekeep housekeep
	metrics   *relayMetrics
}

// Options are what a Relay works with. Committed, Hints and Now may be nil.
type Options struct {
	DB      Database
	Streams Streams
	Config  events.Config
	Deps    events.Deps
	// Instance identifies this relay among those of the service; not 0.
	Instance int64
	// Committed receives after this instance has committed events.
	Committed <-chan struct{}
	// Hints connects the instances of the service.
	Hints *events.Hints
	// Now is a monotonic time; nil is the time since New.
	Now func() time.Duration
}

// New returns a relay that does nothing until Run.
func New(o Options) *Relay {
	if o.Now == nil {
		began := time.Now()
		o.Now = func() time.Duration { return time.Since(began) }
	}
	r := &Relay{
		db: o.DB, streams: o.Streams, config: o.Config, committed: o.Committed, hints: o.Hints, log: o.Deps.Log,
		tracer: o.Deps.Tracer, now: o.Now, metrics: newMetrics(o.Deps.Metrics),
	}
	fresh := &handover{parts: map[int64][]events.Record{}, filled: make(chan struct{}, 1)}
	r.mover = mover{r: r, me: o.Instance, fresh: fresh, trouble: backoff.Backoff{What: "moving events to the log"}}
	r.appender = appender{
		r: r, fresh: fresh, tails: map[int64]*tail{},
		trouble: backoff.Backoff{What: "appending to Redis streams"},
	}
	r.housekeep.trouble.What = "housekeeping of the event log"
	return r
}

// Run moves events until ctx is done, and then returns nil. It retries while Postgres
// or Redis is unavailable.
func (r *Relay) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { loop(ctx, r.appender.fresh.filled, r.AppendStep) })
	wg.Go(func() { loop(ctx, nil, r.HousekeepStep) })
	wake := make(chan struct{}, 1)
	wg.Go(func() { r.forward(ctx, wake) })
	loop(ctx, wake, r.MoveStep)
	r.mover.resign(ctx)
	return nil
}

// forward wakes the leading relay, here or in another instance.
func (r *Relay) forward(ctx context.Context, wake chan<- struct{}) {
	hints, stop := r.hints.Listen(ctx)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.committed:
			if !r.mover.fresh.leading() {
				r.hints.Send(ctx, events.HintCommitted)
				pause(ctx, hintPause)
				continue
			}
		case hint := <-hints:
			if hint == events.HintStopped {
				r.mover.retry.Store(true)
			}
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// hintPause makes one hint serve for transactions that commit together.
const hintPause = time.Millisecond

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// loop repeats step after the wait that it returns, or when woken, until ctx is
// done.
func loop(ctx context.Context, wake <-chan struct{}, step func(context.Context) time.Duration) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for ctx.Err() == nil {
		wait := step(ctx)
		if wait <= 0 {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
	}
}
