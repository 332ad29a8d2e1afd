package registry

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// refreshTimeout bounds one look-up in the background; no caller waits for it.
const refreshTimeout = 4 * time.Second

// refusalLogInterval is the shortest time between two log lines about refused entries of a service.
const refusalLogInterval = time.Minute

// resolver lists the instances of a service as they are now.
type resolver interface {
	resolve(ctx context.Context, service string) (listing, error)
}

// listing is a resolver's answer. An URL is never in both lists.
type listing struct {
	live      []endpoint
	withdrawn []string // URLs deregistered by command
	refused   int      // entries that no instance can have written, or at hosts that are not allowed
	reason    error    // of one of the refused, if it is known
}

// refreshAll looks every known service up, in parallel.
func (r *Registry) refreshAll(ctx context.Context) {
	r.mu.Lock()
	pools := slices.Collect(maps.Values(r.pools))
	r.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range pools {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
			defer cancel()
			r.refresh(ctx, p)
		})
	}
	wg.Wait()
}

// refresh applies the resolver's answer; an error leaves the last known in place and is logged once.
func (r *Registry) refresh(ctx context.Context, p *pool) {
	l, err := r.resolver.resolve(ctx, p.name)
	if err != nil && ctx.Err() == context.Canceled {
		return
	}
	log := r.deps.Log.With(slog.String("target", p.name))
	switch was := p.failing.Swap(err != nil); {
	case err != nil && !was:
		log.Warn("registry unreachable; using last known instances", slog.Any("error", err))
	case err == nil && was:
		log.Info("registry reachable again")
	}
	if err != nil {
		return
	}
	r.mu.Lock()
	p.apply(l)
	warn := l.refused > 0 && time.Since(p.refusalLogged) >= refusalLogInterval
	if warn {
		p.refusalLogged = time.Now()
	}
	r.mu.Unlock()
	if warn {
		log.Warn("registry entries refused", slog.Int("entries", l.refused), slog.Any("reason", l.reason))
	}
	r.wakeChecker()
}
