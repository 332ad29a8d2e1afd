package events

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/tracing"
)

// applyTime is how long a transaction goes on taking further events.
const applyTime = 200 * time.Millisecond

// apply takes deliveries in one transaction, with the offset and the inbox, and
// answers how many are done with. Statements that handlers left for later go out
// with the commit, in one round trip. If that fails, nobody knows whose it was; so
// all is done again, and each handler's statements are carried out before the next.
func (r *reader) apply(ctx context.Context, deliveries []delivery) (int, error) {
	n, err := r.attempt(ctx, deliveries, batch{})
	var gap *gapError
	var failed *handlerError
	if err == nil || errors.As(err, &gap) || errors.As(err, &failed) {
		return n, err
	}
	return r.attempt(ctx, deliveries, batch{careful: true})
}

// setAside parks a delivery whose handler has failed.
func (r *reader) setAside(ctx context.Context, d delivery, failure *handlerError) (int, error) {
	return r.attempt(ctx, []delivery{d}, batch{failure: failure})
}

func (r *reader) attempt(ctx context.Context, deliveries []delivery, how batch) (int, error) {
	var b *batch
	err := r.db.Gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		b = &how
		b.reader, b.tx, b.outcomes = r, tx, make([]string, 0, len(deliveries))
		return b.run(ctx, deliveries)
	})
	if err != nil {
		return 0, err
	}
	r.at = b.offset
	for i, outcome := range b.outcomes {
		r.metrics.events.WithLabelValues(r.label(deliveries[i].env.Event), outcome).Inc()
	}
	return len(b.outcomes), nil
}

// label bounds what strangers can make of a metric.
func (c *Consumer) label(event string) string {
	if _, known := c.handlers[event]; known {
		return event
	}
	return "other"
}

// batch is one transaction of a reader.
type batch struct {
	*reader
	tx       *gorm.DB
	failure  *handlerError // of the first, which is not handled but parked
	careful  bool          // settle what each handler leaves for later
	offset   position
	replayTo int64           // events up to here are handled again
	fresh    map[string]bool // taken into the inbox now, not handled yet
	blocked  map[string]bool // keys with a parked event
	outcomes []string        // of the deliveries done with
}

func (b *batch) run(ctx context.Context, deliveries []delivery) error {
	if err := b.lockOffset(ctx); err != nil {
		return err
	}
	before := b.offset
	if err := b.receive(ctx, deliveries); err != nil {
		return err
	}
	began := time.Now()
	for i, d := range deliveries {
		if i > 0 && time.Since(began) > applyTime {
			break
		}
		outcome, err := b.take(ctx, d, i)
		var gap *gapError
		if errors.As(err, &gap) && i > 0 {
			break // commit what came before it
		}
		if err != nil {
			return err
		}
		b.outcomes = append(b.outcomes, outcome)
	}
	if err := b.leave(ctx); err != nil {
		return err
	}
	if b.offset == before {
		return nil
	}
	return b.saveOffset()
}

// take brings one delivery to its outcome and moves the offset.
func (b *batch) take(ctx context.Context, d delivery, i int) (string, error) {
	switch {
	case b.isStray(d):
		return outcomeDead, b.setAsideStray(ctx, d)
	case !d.at.after(b.offset):
		return outcomeRepeat, nil
	case !b.contiguous(d.at):
		return "", &gapError{have: delivery{at: b.offset}, got: d}
	}
	outcome, err := b.decide(ctx, d, i)
	b.offset = d.at
	return outcome, err
}

// contiguous reports whether at comes next. A generation may go back, never
// ahead: what it repeats, the inbox knows.
func (b *batch) contiguous(at position) bool {
	if at.gen == b.offset.gen {
		return at.pos == b.offset.pos+1
	}
	return at.pos <= b.offset.pos+1
}

// isStray reports an entry that no relay wrote: its id can't be a position, or
// what stands there is no event and does not come next, or the producer does
// not know it.
func (b *batch) isStray(d delivery) bool {
	return d.at.pos < 1 || d.id == b.stray ||
		(d.err != nil && d.at.after(b.offset) && !(d.at.gen == b.offset.gen && b.contiguous(d.at)))
}

// decide handles an event that comes next, or says why not.
func (b *batch) decide(ctx context.Context, d delivery, i int) (string, error) {
	h, subscribed := b.handlers[d.env.Event]
	if b.ignored[d.env.Event] {
		return outcomeSkipped, nil
	}
	id := d.env.ID.String()
	if !b.fresh[id] && d.at.pos > b.replayTo {
		return outcomeRepeat, nil
	}
	delete(b.fresh, id)
	switch {
	case d.err != nil:
		return outcomeDead, b.park(ctx, d, parked{state: stateDead, reason: d.err.Error()})
	case !subscribed: // its key goes on: this service has no order to keep with it
		d.env.Key = ""
		return outcomeDead, b.park(ctx, d, parked{state: stateDead, reason: "unknown type " + d.env.Event})
	case b.blocked[d.env.Key]:
		return outcomeParked, b.park(ctx, d, parked{state: stateWaiting, reason: "waits behind an event of its key"})
	case d.env.Version > h.version:
		return outcomeDead, b.park(ctx, d, parked{state: stateDead,
			reason: fmt.Sprintf("version %d of the event is newer than this consumer's %d", d.env.Version, h.version)})
	case b.failure != nil && i == 0:
		return b.parkFailed(ctx, d)
	}
	err := b.invoke(ctx, h, b.tx, d.env, 1)
	if err == nil && b.careful {
		err = database.Settle(ctx, b.tx)
	}
	if err != nil {
		return "", &handlerError{i, err}
	}
	return outcomeDone, nil
}

func (b *batch) parkFailed(ctx context.Context, d delivery) (string, error) {
	p := parked{state: stateWaiting, reason: b.failure.Error(), attempts: 1, delay: b.failure.delay(1)}
	outcome := outcomeParked
	if b.failure.hopeless() {
		p.state, outcome = stateDead, outcomeDead
	}
	b.deps.Log.ErrorContext(spanContext(ctx, d.env, 2), "event set aside",
		"event", d.env.Event, "event_id", d.env.ID.String(), "key", d.env.Key, "state", p.state, "error", b.failure.err)
	return outcome, b.park(ctx, d, p)
}

// invoke calls the handler of an event, in the event's trace.
func (c *Consumer) invoke(ctx context.Context, h handler, tx *gorm.DB, e Envelope, attempt int) (err error) {
	var opts []trace.SpanStartOption
	if origin := tracing.FromCarrier(ctx, e.Traceparent, e.Tracestate); origin.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: origin}))
	}
	opts = append(opts, trace.WithSpanKind(trace.SpanKindConsumer))
	ctx, span := c.deps.Tracer.Start(spanContext(ctx, e, attempt), "process "+e.Event, opts...)
	defer span.End()
	ctx = context.WithValue(ctx, metaKey{}, Meta{ID: e.ID, Key: e.Key, Published: e.Timestamp, Attempt: attempt})
	ctx, cancel := context.WithTimeout(ctx, HandlerTimeout)
	defer cancel()
	began := time.Now()
	defer func() {
		c.metrics.duration.WithLabelValues(e.Event).Observe(time.Since(began).Seconds())
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			span.RecordError(err)
		}
		c.deps.Log.DebugContext(ctx, "event handled",
			"event", e.Event, "event_id", e.ID.String(), "attempt", attempt, "took", time.Since(began), "failed", err != nil)
	}()
	data, err := h.upcast(e)
	if err != nil {
		return err
	}
	return h.call(ctx, tx.WithContext(ctx), data)
}

// spanContext makes what follows a child of the publishing span on a first
// delivery. Later ones are traces of their own, linked to it.
func spanContext(ctx context.Context, e Envelope, attempt int) context.Context {
	if attempt > 1 {
		return ctx
	}
	return tracing.WithCarrier(ctx, e.Traceparent, e.Tracestate)
}
