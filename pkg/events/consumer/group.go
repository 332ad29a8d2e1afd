package consumer

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/internal/backoff"
)

// beatStep records that this instance is alive, and claims and releases parts.
func (c *Consumer) beatStep(ctx context.Context) time.Duration {
	began := c.now()
	work := context.WithoutCancel(ctx)
	g, err := c.db.Beat(work, c.instance)
	if err == nil {
		g.readAt = began
		c.group.Store(&g)
		if g.Due >= 0 {
			c.expectRetry(g.Due)
		}
		err = c.addOffsets(work, g)
	}
	if err == nil {
		err = c.rebalance(work, g)
	}
	if err != nil {
		return c.trouble.Failed(ctx, c.log, err)
	}
	c.trouble.Succeeded(ctx, c.log)
	return heartbeatTime
}

// addOffsets adds offsets for parts that are new.
func (c *Consumer) addOffsets(ctx context.Context, g Group) error {
	for source := range c.producers {
		var fresh []int64
		for _, p := range c.parts(source) {
			if offsetOf(g.Offsets, source, p.Number) == nil {
				fresh = append(fresh, p.Number)
			}
		}
		if len(fresh) == 0 {
			continue
		}
		if err := c.db.AddOffsets(ctx, source, fresh); err != nil {
			return err
		}
		wake(c.beatNow)
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

// rebalance starts and stops readers, so that each live instance has its part of the
// work. A part that is finished needs no reader.
func (c *Consumer) rebalance(ctx context.Context, g Group) error {
	var open []Offset
	for _, o := range g.Offsets {
		p := find(c.parts(o.Source), o.Part) // nil until the producer returned its parts
		if p != nil && !finished(*p, o.Position) {
			open = append(open, o)
		}
	}
	if g.Paused {
		open = nil
	}
	claim, release := balance(open, g.Live, c.instance)
	for _, key := range c.readerKeys() {
		r := c.readers[key]
		o := offsetOf(open, key.source, key.part)
		if o == nil || o.Owner != c.instance || offsetOf(release, key.source, key.part) != nil {
			r.stop()
			delete(c.readers, key)
		}
	}
	for _, o := range g.Offsets {
		unwanted := offsetOf(release, o.Source, o.Part) != nil || offsetOf(open, o.Source, o.Part) == nil
		if o.Owner == c.instance && unwanted && c.readers[readerKey{o.Source, o.Part}] == nil {
			if _, _, err := c.db.Own(ctx, o, 0); err != nil {
				return err
			}
		}
	}
	for _, o := range claim {
		row, ok, err := c.db.Own(ctx, o, c.instance)
		if err != nil {
			return err
		}
		if ok {
			*offsetOf(open, o.Source, o.Part) = row
		}
	}
	for _, o := range open {
		key, wanted := readerKey{o.Source, o.Part}, offsetOf(release, o.Source, o.Part) == nil
		if o.Owner == c.instance && wanted && c.readers[key] == nil {
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

func (c *Consumer) startReader(o Offset) *reader {
	r := &reader{
		c: c, key: readerKey{o.Source, o.Part}, at: o, changed: c.now(), stream: c.streams.Open(o.Source, o.Part),
		trouble: backoff.Backoff{What: "reading of events"},
	}
	stop := c.spawn(nil, r.step)
	r.stop = func() {
		stop()
		_ = r.stream.Close() // a dedicated connection that is no longer needed
	}
	return r
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
	p := c.producers[source]
	var questions []events.Question
	var asked []Offset
	if g := c.group.Load(); g != nil {
		for _, o := range g.Offsets {
			if o.Source == source && o.Owner == c.instance {
				asked = append(asked, o)
				questions = append(questions, events.Question{Part: o.Part, Places: []events.Position{o.Position}})
			}
		}
	}
	limited, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	parts, err := c.source.Ask(limited, source, questions)
	if err != nil {
		return p.trouble.Failed(ctx, c.log, err)
	}
	p.trouble.Succeeded(ctx, c.log)
	first := p.parts.Swap(&parts) == nil
	for _, o := range asked {
		c.checkOffset(o, find(parts, o.Part))
	}
	c.measureLag(ctx, source, parts)
	if first || c.lacksOffsets(source, parts) {
		wake(c.beatNow)
	}
	return askTime
}

// measureLag sums the lag of this instance's parts, and finds the one that has stood still
// longest. Parts without an owner, as all are while the consumer is paused, count at the first
// instance.
func (c *Consumer) measureLag(ctx context.Context, source string, parts []events.Part) {
	g := c.group.Load()
	if g == nil {
		return
	}
	first := len(g.Live) > 0 && g.Live[0] == c.instance
	p, now := c.producers[source], c.now()
	lag, standing, stalled := int64(0), map[int64]progress{}, time.Duration(0)
	for _, o := range g.Offsets {
		mine := o.Owner == c.instance || first && !slices.Contains(g.Live, o.Owner)
		if part := find(parts, o.Part); o.Source == source && mine && part != nil {
			lag += max(part.Head.Pos-o.Pos, 0)
			c.warnOfRetention(ctx, o, *part)
			if part.Head.Pos <= o.Pos {
				continue
			}
			stands := progress{o.Position, now}
			if before, ok := p.progress[o.Part]; ok && before.at == o.Position {
				stands = before
			}
			standing[o.Part] = stands
			stalled = max(stalled, now-stands.since)
		}
	}
	p.progress = standing
	c.metrics.lag.WithLabelValues(source).Set(float64(lag))
	c.metrics.stalled.WithLabelValues(source).Set(stalled.Seconds())
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

// checkOffset compares an offset with what the producer returned about its part.
func (c *Consumer) checkOffset(o Offset, p *events.Part) {
	if p == nil {
		c.metrics.unknownParts.Inc()
		c.log.Error("producer does not know a part; ignoring it", "source", o.Source, "part", o.Part, "pos", o.Pos)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := readerKey{o.Source, o.Part}
	if p.Has(o.Position) {
		delete(c.suspicions, key)
		return
	}
	d := c.suspicions[key]
	if d.reports == 0 {
		d.since = c.now()
	}
	d.reports++
	c.suspicions[key] = d
}

// suspicion is the evidence of a changed history: how often, and since when, the
// producer reported that an offset is not on it.
type suspicion struct {
	reports int
	since   time.Duration
}

// isDiverged reports whether a part's offset was found off the producer's history
// twice, at least a second apart. Once may be an old answer, or a standby's.
func (c *Consumer) isDiverged(key readerKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.suspicions[key]
	return d.reports >= 2 && c.now()-d.since >= askTime
}

func (c *Consumer) clearSuspicion(key readerKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.suspicions, key)
}

// warnOfRetention logs an offset in the older half of a log that is being trimmed:
// events that are deleted before they are read are lost to this consumer.
func (c *Consumer) warnOfRetention(ctx context.Context, o Offset, p events.Part) {
	if p.Base.Pos > 0 && p.Len() > 0 && o.Pos < p.Base.Pos+p.Len()/2 && !p.Closed {
		c.log.WarnContext(ctx, "consumer is in the older half of the producer's log", "source", o.Source, "part", o.Part,
			"pos", o.Pos, "first", p.Base.Pos+1, "last", p.Head.Pos)
	}
}

// housekeepStep counts parked keys, and deletes inbox rows that are no longer needed.
func (c *Consumer) housekeepStep(ctx context.Context) time.Duration {
	g := c.group.Load()
	if g == nil {
		return heartbeatTime
	}
	if err := errors.Join(c.countKeys(ctx), c.purge(ctx, g)); err != nil {
		c.log.WarnContext(ctx, "consumer housekeeping failed; will retry", "error", err)
	}
	return housekeepTime
}

func (c *Consumer) countKeys(ctx context.Context) error {
	counts, err := c.db.CountKeys(ctx)
	if err == nil {
		for _, state := range []string{StateWaiting, StateAhead, StateDead} {
			c.metrics.parked.WithLabelValues(state).Set(float64(counts[state]))
		}
	}
	return err
}

func (c *Consumer) purge(ctx context.Context, g *Group) error {
	for _, o := range g.Offsets {
		p := find(c.parts(o.Source), o.Part)
		if o.Owner != c.instance || p == nil {
			continue
		}
		for more := purgeBelow(*p, o.Position) > 0; more && ctx.Err() == nil; {
			var err error
			if more, err = c.db.Purge(ctx, o.Source, o.Part, purgeBelow(*p, o.Position)); err != nil {
				return err
			}
		}
	}
	return nil
}
