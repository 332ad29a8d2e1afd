package consumer

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/internal/backoff"
)

const (
	heartbeatTime = 500 * time.Millisecond
	askTime       = time.Second
	askLimit      = 3 * time.Second // for the producer's answer
	housekeepTime = 10 * time.Second

	// InlineTime bounds a handler's first attempt, HandlerTime the later ones.
	InlineTime  = time.Second
	HandlerTime = 10 * time.Second
)

// Consumer hands the events that a service subscribes to over to its handlers.
// Every instance of the service runs one; they share the parts out among them. It
// runs once.
type Consumer struct {
	Options
	metrics *consumerMetrics
	group   atomic.Pointer[observed]
	views   map[string]*view       // by source
	readers map[readerKey]*running // of the goroutine that beats
	mu      sync.Mutex
	doubts  map[readerKey]doubt
	due     atomic.Int64  // when a parked key is due, as far as is known here
	retry   chan struct{} // due was brought forward
	beat    chan struct{} // look at the group at once
	trouble backoff.Backoff
}

// Options are what a Consumer works with. Hints, Now and Spawn may be nil.
type Options struct {
	// Name is the service's name.
	Name string
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
	// Spawn repeats step, after the wait that it returns or when woken, until stop
	// is called; stop waits for a step in progress. nil is a goroutine.
	Spawn func(wake <-chan struct{}, step func(context.Context) time.Duration) (stop func())
}

// observed is a group and when it was read.
type observed struct {
	Group
	at time.Duration
}

// view is what a producer has said of its log.
type view struct {
	parts   atomic.Pointer[[]events.Part]
	trouble backoff.Backoff
}

// New returns a consumer that does nothing until Run.
func New(o Options) *Consumer {
	if o.Now == nil {
		began := time.Now()
		o.Now = func() time.Duration { return time.Since(began) }
	}
	if o.Spawn == nil {
		o.Spawn = spawn
	}
	c := &Consumer{
		Options: o, metrics: newMetrics(o.Deps.Metrics), views: map[string]*view{}, readers: map[readerKey]*running{},
		doubts: map[readerKey]doubt{},
		retry:  make(chan struct{}, 1), beat: make(chan struct{}, 1),
		trouble: backoff.Backoff{What: "consumer's database"},
	}
	c.due.Store(math.MaxInt64)
	for _, source := range o.Subscriptions.Sources() {
		c.views[source] = &view{trouble: backoff.Backoff{What: "asking the event log of " + source}}
	}
	return c
}

// Run consumes until ctx is done; then it finishes the batches in progress, gives
// its parts up and returns nil. It survives a Postgres, a Redis or a producer that
// is away.
func (c *Consumer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	stop := c.Start()
	hints, unsubscribe := c.Hints.Listen(ctx)
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case hint := <-hints:
				if hint == events.HintStopped {
					poke(c.beat)
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

// Start begins the work and returns how to end it. Run is Start, and the end when
// its context is done.
func (c *Consumer) Start() (stop func()) {
	stops := []func(){}
	for range c.Config.Retries {
		trouble := &backoff.Backoff{What: "retry of parked events"}
		stops = append(stops, c.Spawn(c.retry, func(ctx context.Context) time.Duration { return c.retryStep(ctx, trouble) }))
	}
	stops = append(stops, c.Spawn(nil, c.housekeepStep))
	for _, source := range c.Subscriptions.Sources() {
		stops = append(stops, c.Spawn(nil, func(ctx context.Context) time.Duration { return c.askStep(ctx, source) }))
	}
	stops = append(stops, c.Spawn(c.beat, c.beatStep))
	return func() {
		for i := len(stops) - 1; i >= 0; i-- { // first claiming, last the retries
			stops[i]()
		}
		c.stopReaders()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if c.DB.Leave(ctx, c.Instance) == nil { // else the others find out
			c.Hints.Send(ctx, events.HintStopped)
		}
		c.metrics.owned.Set(0)
	}
}

// spawn is Options.Spawn on a goroutine.
func spawn(wake <-chan struct{}, step func(context.Context) time.Duration) (stop func()) {
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
			case <-wake:
			case <-timer.C:
			}
		}
	}()
	return func() { cancel(); <-done }
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// parts returns what the producer last said, nil before it said anything.
func (c *Consumer) parts(source string) []events.Part {
	if p := c.views[source].parts.Load(); p != nil {
		return *p
	}
	return nil
}

// knows reports whether this instance has a handler for an event, and whether any
// release of the service does.
func (c *Consumer) knows(e events.Envelope) (s *events.Subscription, declared bool) {
	s = c.Subscriptions.Find(e.Service, e.Event)
	if s != nil && e.Version <= s.Version {
		return s, true
	}
	if s != nil {
		return nil, true
	}
	g := c.group.Load()
	_, declared = g.Declared[events.TypeName{Source: e.Service, Event: e.Event}]
	return nil, declared
}
