package consumer

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/internal/backoff"
	"github.com/go-troika/troika/pkg/tracing"
)

const (
	heartbeatTime = 500 * time.Millisecond
	// LiveTime is how long after its last heartbeat an instance counts as alive. A
	// heartbeat further in the future counts as past: clocks step.
	LiveTime = 3 * heartbeatTime

	askTime       = time.Second
	askLimit      = 3 * time.Second // for the producer's answer
	housekeepTime = 10 * time.Second

	// InlineTime bounds a handler's first attempt, HandlerTime the later ones.
	InlineTime  = time.Second
	HandlerTime = 10 * time.Second
)

// Consumer calls a service's handlers with the events that it subscribes to. Every
// instance of the service runs one; they divide the parts among them. It runs once.
type Consumer struct {
	instance int64
	db       Database
	streams  Streams
	source   events.Source
	subs     *events.Subscriptions
	retries  int
	hints    *events.Hints
	log      *slog.Logger
	tracer   *tracing.Tracer
	metrics  *consumerMetrics
	now      func() time.Duration
	spawn    Spawn

	group      atomic.Pointer[Group]
	producers  map[string]*producer  // by source
	readers    map[readerKey]*reader // used by the goroutine that beats
	mu         sync.Mutex
	suspicions map[readerKey]suspicion
	due        atomic.Int64  // when a parked key is due, as far as is known here
	retryDue   chan struct{} // due was brought forward
	beatNow    chan struct{} // read the group at once
	trouble    backoff.Backoff
}

// Options are what a Consumer works with. Hints, Now and Spawn may be nil.
type Options struct {
	// Instance identifies this consumer among those of the service; not 0.
	Instance      int64
	DB            Database
	Streams       Streams
	Source        events.Source
	Subscriptions *events.Subscriptions
	Config        events.Config
	Deps          events.Deps
	Hints         *events.Hints
	// Now is a monotonic time; nil is the time since New.
	Now func() time.Duration
	// Spawn runs the consumer's loops; nil is a goroutine for each.
	Spawn Spawn
}

// Spawn repeats step, after the wait that it returns or when woken, until stop is
// called; stop waits for a step in progress.
type Spawn func(wake <-chan struct{}, step func(context.Context) time.Duration) (stop func())

// producer is what a producer last returned about its log.
type producer struct {
	parts    atomic.Pointer[[]events.Part]
	trouble  backoff.Backoff
	progress map[int64]progress // by part; of measureLag
}

// progress is an offset, and since when it has stood there with events behind it.
type progress struct {
	at    events.Position
	since time.Duration
}

// New returns a consumer that does nothing until Run.
func New(o Options) *Consumer {
	if o.Now == nil {
		began := time.Now()
		o.Now = func() time.Duration { return time.Since(began) }
	}
	if o.Spawn == nil {
		o.Spawn = goroutine
	}
	c := &Consumer{
		instance: o.Instance, db: o.DB, streams: o.Streams, source: o.Source, subs: o.Subscriptions, retries: o.Config.Retries,
		hints: o.Hints, log: o.Deps.Log, tracer: o.Deps.Tracer, metrics: newMetrics(o.Deps.Metrics), now: o.Now, spawn: o.Spawn,
		producers: map[string]*producer{}, readers: map[readerKey]*reader{}, suspicions: map[readerKey]suspicion{},
		retryDue: make(chan struct{}, 1), beatNow: make(chan struct{}, 1),
		trouble: backoff.Backoff{What: "consumer's database"},
	}
	c.due.Store(math.MaxInt64)
	for _, source := range o.Subscriptions.Sources() {
		c.producers[source] = &producer{trouble: backoff.Backoff{What: "asking the event log of " + source}}
	}
	return c
}

// Run consumes until ctx is done; then it finishes the batches in progress, releases
// its parts and returns nil. It retries while Postgres, Redis or a producer is
// unavailable.
func (c *Consumer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	stop := c.Start()
	hints, unsubscribe := c.hints.Listen(ctx)
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case hint := <-hints:
				if hint == events.HintStopped {
					wake(c.beatNow)
				}
			}
		}
	})
	<-ctx.Done()
	wg.Wait()
	unsubscribe()
	stop()
	return nil
}

// Start starts the consumer and returns a function that stops it.
func (c *Consumer) Start() (stop func()) {
	stops := []func(){}
	for range c.retries {
		trouble := &backoff.Backoff{What: "retry of parked events"}
		stops = append(stops, c.spawn(c.retryDue, func(ctx context.Context) time.Duration { return c.retryStep(ctx, trouble) }))
	}
	stops = append(stops, c.spawn(nil, c.housekeepStep))
	for _, source := range c.subs.Sources() {
		stops = append(stops, c.spawn(nil, func(ctx context.Context) time.Duration { return c.askStep(ctx, source) }))
	}
	stops = append(stops, c.spawn(c.beatNow, c.beatStep))
	return func() {
		for _, stop := range slices.Backward(stops) { // first claiming, last the retries
			stop()
		}
		c.stopReaders()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if c.db.Leave(ctx, c.instance) == nil { // otherwise the others notice that the heartbeat ends
			c.hints.Send(ctx, events.HintStopped)
		}
		c.metrics.owned.Set(0)
	}
}

// goroutine is the default [Spawn].
func goroutine(woken <-chan struct{}, step func(context.Context) time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		timer := time.NewTimer(time.Hour)
		defer timer.Stop()
		for ctx.Err() == nil {
			timer.Reset(step(ctx))
			select {
			case <-ctx.Done():
			case <-woken:
			case <-timer.C:
			}
		}
	}()
	return func() { cancel(); <-done }
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// parts returns the parts of a producer's log as it last returned them, nil before that.
func (c *Consumer) parts(source string) []events.Part {
	if p := c.producers[source].parts.Load(); p != nil {
		return *p
	}
	return nil
}

// subscription returns the handler for an event, nil if this release has none, and
// reports whether any release of the service declares one.
func (c *Consumer) subscription(e events.Envelope) (s *events.Subscription, declared bool) {
	s = c.subs.Find(e.Service, e.Event)
	if s != nil && e.Version <= s.Version {
		return s, true
	}
	if s != nil {
		return nil, true
	}
	_, declared = c.group.Load().Declared[events.TypeName{Source: e.Service, Event: e.Event}]
	return nil, declared
}

// handles reports whether any release of the service handles events of e's type.
func (c *Consumer) handles(e events.Envelope) bool {
	s, declared := c.subscription(e)
	return s != nil || declared
}
