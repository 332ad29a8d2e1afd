package consumer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/events"
)

// beatStep records that this instance is alive, and takes and gives up parts.
func (c *Consumer) beatStep(ctx context.Context) time.Duration {
	began := c.Now()
	work := context.WithoutCancel(ctx)
	g, err := c.DB.Beat(work, c.Instance)
	if err == nil {
		c.group.Store(&observed{g, began})
		if g.Due >= 0 {
			c.expectRetry(g.Due)
		}
		err = c.adopt(work, g)
	}
	if err == nil {
		err = c.share(work, g)
	}
	if err != nil {
		return c.trouble.Failed(ctx, c.Deps.Log, err)
	}
	c.trouble.Succeeded(ctx, c.Deps.Log)
	return heartbeatTime
}

// adopt adds offsets for parts that are new.
func (c *Consumer) adopt(ctx context.Context, g Group) error {
	for source := range c.views {
		var fresh []int64
		for _, p := range c.parts(source) {
			if offsetOf(g.Offsets, source, p.Number) == nil {
				fresh = append(fresh, p.Number)
			}
		}
		if len(fresh) == 0 {
			continue
		}
		if err := c.DB.Adopt(ctx, source, fresh); err != nil {
			return err
		}
		poke(c.beat)
	}
	return nil
}

func offsetOf(offsets []Offset, source string, part int64) *Offset {
	for i := range offsets {
		if offsets[i].Source == source && offsets[i].Part == part {
			return &offsets[i]
		}
	}
	return nil
}

// share starts and stops readers, so that each live instance has its part of the
// work. What is finished needs nobody.
func (c *Consumer) share(ctx context.Context, g Group) error {
	var open []Offset
	for _, o := range g.Offsets {
		p := find(c.parts(o.Source), o.Part) // of sources without view, nothing
		if p != nil && !finished(*p, o.Position) {
			open = append(open, o)
		}
	}
	if g.Paused {
		open = nil
	}
	claim, release := balance(open, g.Live, c.Instance)
	for _, key := range c.readerKeys() {
		r := c.readers[key]
		o := offsetOf(open, key.source, key.part)
		if o == nil || o.Owner != c.Instance || offsetOf(release, key.source, key.part) != nil {
			r.stop()
			delete(c.readers, key)
		}
	}
	for _, o := range g.Offsets {
		if o.Owner == c.Instance && c.readers[readerKey{o.Source, o.Part}] == nil && (offsetOf(release, o.Source, o.Part) != nil || offsetOf(open, o.Source, o.Part) == nil) {
			if _, _, err := c.DB.Own(ctx, o, 0); err != nil {
				return err
			}
		}
	}
	for _, o := range claim {
		row, ok, err := c.DB.Own(ctx, o, c.Instance)
		if err != nil {
			return err
		}
		if ok {
			*offsetOf(open, o.Source, o.Part) = row
		}
	}
	for _, o := range open {
		if key := (readerKey{o.Source, o.Part}); o.Owner == c.Instance && c.readers[key] == nil && offsetOf(release, o.Source, o.Part) == nil {
			c.readers[key] = c.startReader(o)
		}
	}
	c.metrics.owned.Set(float64(len(c.readers)))
	return nil
}

type readerKey struct {
	source string
	part   int64
}

// running is a reader at work.
type running struct {
	*reader
	stop func()
}

func (c *Consumer) startReader(o Offset) *running {
	r := &reader{c: c, key: readerKey{o.Source, o.Part}, at: o, changed: c.Now(), stream: c.Streams.Open(o.Source, o.Part)}
	end := c.Spawn(nil, r.step)
	return &running{r, func() {
		end()
		_ = r.stream.Close() // a dedicated connection that is no longer needed
	}}
}

func (c *Consumer) stopReaders() {
	for _, key := range c.readerKeys() {
		c.readers[key].stop()
		delete(c.readers, key)
	}
}

// readerKeys returns the parts that are read, always in the same order: a simulation
// depends on it.
func (c *Consumer) readerKeys() []readerKey {
	return slices.SortedFunc(maps.Keys(c.readers), func(a, b readerKey) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.part, b.part))
	})
}

// askStep asks a producer where its log ends, and whether the offsets that this
// instance works at are on its history.
func (c *Consumer) askStep(ctx context.Context, source string) time.Duration {
	v := c.views[source]
	var questions []events.Question
	var asked []Offset
	if g := c.group.Load(); g != nil {
		for _, o := range g.Offsets {
			if o.Source == source && o.Owner == c.Instance {
				asked = append(asked, o)
				questions = append(questions, events.Question{Part: o.Part, Places: []events.Position{o.Position}})
			}
		}
	}
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	parts, err := c.Source.Ask(limited, source, questions)
	if err != nil {
		return v.trouble.Failed(ctx, c.Deps.Log, err)
	}
	v.trouble.Succeeded(ctx, c.Deps.Log)
	first := v.parts.Swap(&parts) == nil
	lag := int64(0)
	for _, o := range asked {
		p := find(parts, o.Part)
		c.heard(o, p)
		if p != nil {
			lag += max(p.Head.Pos-o.Pos, 0)
			c.warnOfRetention(ctx, o, *p)
		}
	}
	c.metrics.lag.WithLabelValues(source).Set(float64(lag))
	if first || c.lacksOffsets(source, parts) {
		poke(c.beat)
	}
	return askTime
}

func (c *Consumer) lacksOffsets(source string, parts []events.Part) bool {
	g := c.group.Load()
	for _, p := range parts {
		if g == nil || offsetOf(g.Offsets, source, p.Number) == nil {
			return true
		}
	}
	return false
}

// heard notes what the producer says of an offset.
func (c *Consumer) heard(o Offset, p *events.Part) {
	if p == nil {
		c.metrics.unknownParts.Inc()
		c.Deps.Log.Error("producer does not know a part; ignoring it", "source", o.Source, "part", o.Part, "pos", o.Pos)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := readerKey{o.Source, o.Part}
	if p.Has(o.Position) {
		delete(c.doubts, key)
		return
	}
	d := c.doubts[key]
	if d.reports == 0 {
		d.since = c.Now()
	}
	d.reports++
	c.doubts[key] = d
}

// doubt is what speaks for a changed history: how often, and since when, the
// producer said that an offset is not on it.
type doubt struct {
	reports int
	since   time.Duration
}

// isDiverged reports whether a part's offset was found off the producer's history
// twice, at least a second apart. Once may be an old answer, or a standby's.
func (c *Consumer) isDiverged(key readerKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.doubts[key]
	return d.reports >= 2 && c.Now()-d.since >= askTime
}

func (c *Consumer) forgetDoubt(key readerKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.doubts, key)
}

// warnOfRetention warns of an offset in the older half of a log that is being
// trimmed: what is deleted before it is read is lost to this consumer.
func (c *Consumer) warnOfRetention(ctx context.Context, o Offset, p events.Part) {
	if p.Base.Pos > 0 && p.Len() > 0 && o.Pos < p.Base.Pos+p.Len()/2 && !p.Closed {
		c.Deps.Log.WarnContext(ctx, "consumer is in the older half of the producer's log", "source", o.Source, "part", o.Part,
			"pos", o.Pos, "first", p.Base.Pos+1, "last", p.Head.Pos)
	}
}

// housekeepStep counts what is parked, and deletes inbox rows that cannot be needed any
// more.
func (c *Consumer) housekeepStep(ctx context.Context) time.Duration {
	g := c.group.Load()
	if g == nil {
		return heartbeatTime
	}
	if err := errors.Join(c.countKeys(ctx), c.purge(ctx, g)); err != nil {
		c.Deps.Log.WarnContext(ctx, "purge of the inbox failed; will retry", "error", err)
	}
	return housekeepTime
}

func (c *Consumer) countKeys(ctx context.Context) error {
	counts, err := c.DB.CountKeys(ctx)
	if err == nil {
		for _, state := range []string{StateWaiting, StateAhead, StateDead} {
			c.metrics.parked.WithLabelValues(state).Set(float64(counts[state]))
		}
	}
	return err
}

func (c *Consumer) purge(ctx context.Context, g *observed) error {
	for _, o := range g.Offsets {
		p := find(c.parts(o.Source), o.Part)
		if o.Owner != c.Instance || p == nil {
			continue
		}
		for more := purgeBelow(*p, o.Position) > 0; more && ctx.Err() == nil; {
			var err error
			if more, err = c.DB.Purge(ctx, o.Source, o.Part, purgeBelow(*p, o.Position)); err != nil {
				return err
			}
		}
	}
	return nil
}
