package relay

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/codes"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/internal/backoff"
)

// appender keeps the streams equal to the log's end.
type appender struct {
	r       *Relay
	fresh   *handover
	term    int
	tails   map[int64]*tail
	parts   []events.Part // as of the last look
	checked time.Duration
	trouble backoff.Backoff
}

// tail is the known end of a stream.
type tail struct {
	known   bool
	has     int64         // position of the last entry
	proved  time.Duration // when Redis last confirmed it
	deleted time.Duration // when the stream was last deleted
}

// AppendStep brings the streams up to the log. It returns the wait until the next
// step; a move ends it early.
func (r *Relay) AppendStep(ctx context.Context) time.Duration {
	a := &r.appender
	err := a.step(ctx)
	if err != nil {
		for _, t := range a.tails {
			t.known = false
		}
		return a.trouble.Failed(ctx, r.log, err)
	}
	a.trouble.Succeeded(ctx, r.log)
	return pollMax
}

// redisFailed counts an error of Redis; those of Postgres are not counted.
func (a *appender) redisFailed(err error) error {
	a.r.metrics.appendErrors.Inc()
	return err
}

func (a *appender) step(ctx context.Context) error {
	fresh, leads, term := a.fresh.take()
	if !leads {
		return nil
	}
	now := a.r.now()
	if term != a.term {
		a.term, a.parts, a.tails, a.checked = term, nil, map[int64]*tail{}, 0
	}
	for part, records := range fresh {
		a.advance(part, records[len(records)-1].Position)
	}
	if a.checked == 0 || now-a.checked >= idleCheck || a.lacks(fresh) {
		if err := a.check(ctx, now); err != nil {
			return err
		}
	}
	return a.append(ctx, fresh)
}

// lacks reports whether fresh has parts that are not known yet, or a stream's end
// is unknown.
func (a *appender) lacks(fresh map[int64][]events.Record) bool {
	for part := range fresh {
		if t := a.tails[part]; t == nil || !t.known {
			return true
		}
	}
	for _, t := range a.tails {
		if !t.known {
			return true
		}
	}
	return false
}

func (a *appender) advance(part int64, head events.Position) {
	for i := range a.parts {
		if p := &a.parts[i]; p.Number == part && p.Head.Pos < head.Pos {
			p.Head = head
		}
	}
}

// check compares the ends of streams that are not known, or were not appended to
// for a while, with the log.
func (a *appender) check(ctx context.Context, now time.Duration) error {
	if a.parts == nil {
		parts, err := a.r.db.Ask(ctx, nil)
		if err != nil {
			return err
		}
		a.parts = parts
	}
	var numbers []int64
	for _, p := range a.parts {
		t := a.tails[p.Number]
		if t == nil {
			t = &tail{}
			a.tails[p.Number] = t
		}
		finished := p.Closed && t.known && t.has >= p.Head.Pos
		if !finished && (!t.known || now-t.proved >= idleCheck) {
			numbers = append(numbers, p.Number)
		}
	}
	ends := []End{}
	if len(numbers) > 0 {
		var err error
		if ends, err = a.r.streams.Ends(ctx, numbers); err != nil {
			return a.redisFailed(err)
		}
	}
	return a.reconcile(ctx, now, numbers, ends)
}

// reconcile compares ends with the log, and deletes the streams that end with something
// else.
func (a *appender) reconcile(ctx context.Context, now time.Duration, numbers []int64, ends []End) error {
	questions := make([]events.Question, 0, len(numbers))
	for i, n := range numbers {
		if ends[i].Exists && !ends[i].Foreign {
			questions = append(questions, events.Question{Part: n, Places: []events.Position{ends[i].Last}})
		}
	}
	parts, err := a.r.db.Ask(ctx, questions)
	if err != nil {
		return err
	}
	a.parts, a.checked = parts, max(now, 1)
	byNumber := make(map[int64]events.Part, len(parts))
	for _, p := range parts {
		byNumber[p.Number] = p
		if a.tails[p.Number] == nil {
			a.tails[p.Number] = &tail{}
		}
	}
	var foreign, closed []int64
	for i, n := range numbers {
		part, ok := byNumber[n]
		t := a.tails[n]
		switch {
		case !ok: // a database was put back to before this part
			delete(a.tails, n)
		case part.Closed: // consumers read its rest from the log
			t.known, t.has = true, part.Head.Pos
			if ends[i].Exists {
				closed = append(closed, n)
			}
		case canContinue(ends[i], part):
			t.known, t.has, t.proved = true, ends[i].Last.Pos, now
		case t.deleted == 0 || now-t.deleted >= time.Second:
			t.known, t.deleted = false, max(now, 1)
			foreign = append(foreign, n)
		default:
			t.known = false
		}
	}
	if len(closed) > 0 {
		if err := a.r.streams.Delete(ctx, closed); err != nil {
			return a.redisFailed(err)
		}
	}
	return a.refill(ctx, now, foreign)
}

// refill empties streams that no longer match the log.
func (a *appender) refill(ctx context.Context, now time.Duration, parts []int64) error {
	if len(parts) == 0 {
		return nil
	}
	a.r.metrics.resets.Add(float64(len(parts)))
	a.r.log.ErrorContext(ctx, "stream does not match the log; refilling it", "parts", parts)
	if err := a.r.streams.Delete(ctx, parts); err != nil {
		return a.redisFailed(err)
	}
	for _, n := range parts {
		t := a.tails[n]
		t.known, t.has, t.proved = true, 0, now
	}
	return nil
}

// append adds what the streams lack, until they lack nothing. One that refuses
// is checked at again in the next step.
func (a *appender) append(ctx context.Context, fresh map[int64][]events.Record) error {
	for {
		var batches []Batch
		for _, p := range a.parts {
			t := a.tails[p.Number]
			if t == nil || !t.known || t.has >= p.Head.Pos {
				continue
			}
			records, err := a.next(ctx, p, t, fresh[p.Number])
			if err != nil {
				return err
			}
			if len(records) > 0 {
				batches = append(batches, Batch{p, records})
			}
		}
		if len(batches) == 0 {
			return nil
		}
		if err := a.send(ctx, batches); err != nil {
			return err
		}
	}
}

// next returns what comes next in a stream: from fresh if it continues, or else
// a piece of the log.
func (a *appender) next(ctx context.Context, p events.Part, t *tail, fresh []events.Record) ([]events.Record, error) {
	if continues(t.has, fresh) {
		return fresh[t.has+1-fresh[0].Pos:], nil
	}
	behind := max(t.has, p.Base.Pos, p.Head.Pos-a.r.config.StreamCap) // the stream holds the newest only
	page, err := a.r.db.Page(ctx, p.Number, behind)
	if err == nil && len(page.Records) == 0 { // deleted meanwhile, or a database put back
		t.known = false
	}
	return page.Records, err
}

func (a *appender) send(ctx context.Context, batches []Batch) error {
	ctx, span := a.r.startSpan(ctx, batches)
	defer span.End()
	began := a.r.now()
	refused, err := a.r.streams.Append(ctx, batches, a.r.config.StreamCap)
	if err != nil {
		span.SetStatus(codes.Error, "append failed")
		return a.redisFailed(err)
	}
	a.r.metrics.appendSeconds.Observe((a.r.now() - began).Seconds())
	for _, b := range batches {
		t := a.tails[b.Part.Number]
		t.has, t.proved = b.Records[len(b.Records)-1].Pos, a.r.now()
		a.r.metrics.appended.Add(float64(len(b.Records)))
	}
	for _, part := range refused {
		a.tails[part].known = false
	}
	return nil
}
