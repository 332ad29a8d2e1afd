package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/stack"
)

const pollEvery = time.Second

// poll sends a snapshot once a second while a page is connected.
func (c *Console) poll(ctx context.Context) {
	for c.stream.wait(ctx) == nil {
		began := time.Now()
		if text, err := json.Marshal(c.take(ctx)); err == nil {
			c.stream.send(text)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollEvery - time.Since(began)):
		}
	}
}

// observed is what one service reports, by its instances.
type observed struct {
	name     string
	parts    []part
	readings map[string]reading // of the instances that respond
	heads    []logPart
	producer bool
	refused  string // of the console's token, "" if it was not
	consumes bool
	consumption
}

// take asks all services.
func (c *Console) take(ctx context.Context) snapshot {
	snap := snapshot{
		At: time.Now(), Control: c.cfg.Stack != nil, Canned: slices.Sorted(maps.Keys(c.cfg.Runs)),
		Story: c.runs.lines(), Traces: c.traces.newest(),
	}
	if c.receiver != nil {
		snap.Receiver = c.receiver.Addr().String()
	}
	status, parts, err := c.parts(ctx)
	if err != nil {
		snap.Problem = err.Error()
		return snap
	}
	snap.Stack, snap.World = status.Name, status.World
	all := make([]*observed, len(c.cfg.Services))
	var group sync.WaitGroup
	for i, name := range c.cfg.Services {
		all[i] = &observed{name: name, readings: map[string]reading{}}
		group.Go(func() { c.observe(ctx, all[i], parts) })
	}
	group.Wait()
	for _, o := range all {
		snap.Notice = cmp.Or(snap.Notice, o.refused)
		c.history.add(snap.At, o.readings)
		o.complete(c.last[o.name])
		c.last[o.name] = o
	}
	c.describe(&snap, all)
	for _, p := range parts {
		if !slices.Contains(c.cfg.Services, p.Service) && p.Detail != "done, exit status 0" {
			snap.Stores = append(snap.Stores, store{Name: p.Name, State: p.State})
		}
	}
	for _, o := range all {
		if url := first(o.parts, o.name, urlOf); o.producer && url != "" {
			_ = c.follow(ctx, o.name, url, o.heads) // again at the next poll
		}
	}
	snap.Events = c.events(all)
	return snap
}

// complete adds what was known of a service that does not respond now: neither its log nor
// its offsets move.
func (o *observed) complete(before *observed) {
	if before != nil && !o.producer {
		o.heads, o.producer = before.heads, before.producer
	}
	if before != nil && !o.consumes {
		o.consumption, o.consumes = before.consumption, before.consumes
	}
}

// observe asks the instances of one service.
func (c *Console) observe(ctx context.Context, o *observed, parts []part) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, p := range parts {
		if p.Service != o.name {
			continue
		}
		o.parts = append(o.parts, p)
		if p.admin == "" || p.State != stack.Ready {
			continue
		}
		group.Go(func() {
			if r, err := scrape(ctx, p.admin); err == nil {
				mu.Lock()
				defer mu.Unlock()
				o.readings[p.Name] = r
			}
		})
	}
	if url := first(o.parts, o.name, urlOf); url != "" {
		group.Go(func() { o.heads, o.producer, _ = c.heads(ctx, o.name, url) }) // again at the next poll
	}
	if admin := first(o.parts, o.name, adminOf); admin != "" {
		group.Go(func() {
			var err error
			if o.consumption, o.consumes, err = c.consumption(ctx, o.name, admin); errors.Is(err, errRefused) {
				o.refused = err.Error()
			}
		})
	}
	group.Wait()
}

// events returns the newest events with their handlers. A consumer whose offset is below
// an event has not read it.
func (c *Console) events(all []*observed) []event {
	shown := []event{}
	for _, e := range slices.Backward(c.feed.events) {
		e.Handlers = c.traces.handling(e)
		for _, o := range all {
			if pos, reads := o.position(e.Service, e.partition); reads && pos < e.position {
				e.Handlers = append(e.Handlers, handling{Service: o.name, State: "waiting"})
			}
		}
		shown = append(shown, e)
	}
	return shown
}
