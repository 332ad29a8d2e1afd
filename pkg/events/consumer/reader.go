package consumer

import (
	"context"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/internal/backoff"
)

const (
	retryMin  = 50 * time.Millisecond
	retryMax  = 5 * time.Second
	pageRest  = time.Second            // after a page that brought nothing new
	layoutTry = 200 * time.Millisecond // while earlier layouts are read
)

// reader reads one part. It serves one goroutine.
type reader struct {
	c        *Consumer
	key      readerKey
	stream   StreamReader
	stop     func()
	at       Offset        // as last seen
	changed  time.Duration // when at was last compared with the row
	logUntil int64         // read the log, not the stream, up to here
	askAgain time.Duration // no page of the log before
	behind   bool          // the stream lacks what comes next
	warned   time.Duration // of forged entries
	failures int           // keys that failed one after the other
	rests    int           // waits because of that
	setAside map[int64]error
	trouble  backoff.Backoff
}

// delivery is an event at hand.
type delivery struct {
	events.Record
	env  events.Envelope
	stub bool  // the envelope is not at hand
	pass bool  // the payload is not at hand, and when it was read the service did not handle the type
	bad  error // the envelope cannot be read
}

// batch is what is applied next: events that follow start.
type batch struct {
	start  events.Position
	events []delivery
}

// step reads and applies one batch, and returns the wait until the next.
func (r *reader) step(ctx context.Context) time.Duration {
	b, wait, err := r.fetch(ctx)
	if err == nil && (len(b.events) > 0 || b.start != r.at.Position) {
		wait, err = r.apply(context.WithoutCancel(ctx), b)
	}
	if err != nil {
		return r.trouble.Failed(ctx, r.c.log.With("source", r.at.Source, "part", r.at.Part), err)
	}
	r.trouble.Succeeded(ctx, r.c.log)
	return wait
}

// fetch returns the next batch, from the stream, or else from the log. If there is
// none it returns the wait.
func (r *reader) fetch(ctx context.Context) (batch, time.Duration, error) {
	r.refresh()
	if r.c.isDiverged(r.key) {
		return batch{start: r.at.Position}, 0, r.repair(ctx)
	}
	part := find(r.c.parts(r.key.source), r.key.part)
	switch {
	case part == nil: // ignored: see checkOffset
		return batch{start: r.at.Position}, pageRest, nil
	case part.Closed || r.at.Pos < r.logUntil || r.behind:
		return r.fromLog(ctx)
	}
	entries, err := r.stream.Read(ctx, *part, r.at.Pos)
	if err == nil && len(entries) > 0 {
		r.countForged(ctx, entries)
		run, gap := next(r.at.Position, r.decode(entries))
		if len(run) > 0 {
			return batch{r.at.Position, run}, 0, nil
		}
		r.behind = gap
	}
	if r.behind || part.Head.Pos > r.at.Pos {
		r.behind = r.behind || err != nil
		return r.fromLog(ctx)
	}
	if err != nil { // no Redis: askStep learns of new events
		return batch{start: r.at.Position}, pageRest / 4, nil
	}
	return batch{start: r.at.Position}, 0, nil
}

// countForged counts entries that no relay wrote; at most once a minute it logs them.
func (r *reader) countForged(ctx context.Context, entries []events.Entry) {
	n := 0
	for _, e := range entries {
		if e.Pos == Forged {
			n++
		}
	}
	r.c.metrics.forged.Add(float64(n))
	if now := r.c.now(); n > 0 && (r.warned == 0 || now-r.warned >= time.Minute) {
		r.warned = now
		r.c.log.WarnContext(ctx, "forged entries in a stream; reading the log", "source", r.at.Source, "part", r.at.Part, "entries", n)
	}
}

// refresh takes over a row that a replay or a restored database has changed.
func (r *reader) refresh() {
	g := r.c.group.Load()
	if g == nil || g.readAt <= r.changed {
		return
	}
	if o := offsetOf(g.Offsets, r.key.source, r.key.part); o != nil && *o != r.at {
		r.restart(*o)
	}
}

// restart continues at a row that was changed elsewhere: from the log, since the
// stream may hold entries that only seem to follow.
func (r *reader) restart(row Offset) {
	r.at, r.changed, r.behind, r.askAgain = row, r.c.now(), false, 0
	if p := find(r.c.parts(r.key.source), r.key.part); p != nil {
		r.logUntil = p.Head.Pos
	}
}

// fromLog reads a page of the producer's log.
func (r *reader) fromLog(ctx context.Context) (batch, time.Duration, error) {
	none := batch{start: r.at.Position}
	if rest := r.askAgain - r.c.now(); rest > 0 {
		return none, min(rest, pageRest/4), nil
	}
	r.askAgain = r.c.now() + pageRest
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	page, err := r.c.source.Read(limited, r.key.source, r.key.part, r.at.Pos)
	if err != nil {
		r.askAgain = 0
		return none, 0, err
	}
	v, start := judge(r.at.Position, page)
	switch {
	case v == differs, v == unknown: // askStep finds out which
		return none, pageRest / 4, nil
	case v == follows && len(page.Records) == 0:
		r.behind, r.logUntil = false, 0
		return none, pageRest / 4, nil
	}
	r.c.metrics.pages.Inc()
	r.askAgain = 0
	if len(page.Records) > 0 && page.Records[len(page.Records)-1].Pos == page.Head.Pos {
		r.behind = false
	}
	return batch{start, open(r.key.source, page.Records)}, 0, nil
}

// repair goes back to the last place that is on the producer's history.
func (r *reader) repair(ctx context.Context) error {
	older, err := r.c.db.Older(ctx, r.key.source, r.key.part, r.at.Pos)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	question := events.Question{Part: r.key.part, Places: append(older, r.at.Position)}
	parts, err := r.c.source.Ask(limited, r.key.source, []events.Question{question})
	if err != nil {
		return err
	}
	r.c.clearSuspicion(r.key)
	p := find(parts, r.key.part)
	if p == nil || p.Has(r.at.Position) {
		return nil
	}
	to, proved := back(*p)
	row := r.at
	row.Position = to
	ok, err := r.c.db.GoBack(ctx, r.at, to)
	if err != nil || !ok {
		return err
	}
	r.c.metrics.repairs.Inc()
	r.c.log.ErrorContext(ctx, "producer's history has changed; going back", "source", r.key.source, "part", r.key.part,
		"from", r.at.Pos, "to", to.Pos, "head", p.Head.Pos, "proved", proved)
	r.restart(row)
	r.logUntil = p.Head.Pos
	return nil
}

// decode reads entries of a stream. An envelope that cannot be read, or is redacted and
// needed, is read from the log instead.
func (r *reader) decode(entries []events.Entry) []delivery {
	list := make([]delivery, len(entries))
	for i, e := range entries {
		d := &list[i]
		d.Record = events.Record{Position: e.Position, Prev: e.Prev, Envelope: e.Envelope}
		env, err := events.ParseEnvelope([]byte(e.Envelope))
		d.env, d.ID, d.Key = env, env.ID, env.Key
		d.pass = env.Redacted && !r.c.handles(env)
		d.stub = e.Envelope == "" || err != nil || env.Service != r.key.source || env.Redacted && !d.pass
	}
	return list
}

// open reads records of the log.
func open(source string, records []events.Record) []delivery {
	list := make([]delivery, len(records))
	for i, rec := range records {
		d := delivery{Record: rec}
		d.env, d.bad = events.ParseEnvelope([]byte(rec.Envelope))
		d.env.Service, d.env.ID, d.env.Key = source, rec.ID, rec.Key // as the log has them
		list[i] = d
	}
	return list
}
