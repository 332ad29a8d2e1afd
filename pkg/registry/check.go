package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	checkInterval  = 30 * time.Second // between two checks of a healthy instance
	recheck        = time.Second      // between two of an instance in doubt
	checkTimeout   = 2 * time.Second
	healthBodySize = 64 << 10 // bytes read of a health answer
)

// checkClient opens a connection for each check, which so proves that new calls are accepted.
var checkClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// runChecks starts every check that is due, each in its own goroutine, until ctx is done, and waits for them.
func (r *Registry) runChecks(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(recheck)
	defer tick.Stop()
	for {
		r.startDue(ctx, &wg)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.wake:
		}
	}
}

func (r *Registry) startDue(ctx context.Context, wg *sync.WaitGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, p := range r.pools {
		for _, inst := range p.members {
			if !inst.checking && !now.Before(inst.nextCheck) {
				inst.checking = true
				target := inst.url + inst.healthPath
				wg.Go(func() { r.check(ctx, p, inst, target) })
			}
		}
	}
}

func (r *Registry) check(ctx context.Context, p *pool, inst *instance, target string) {
	health, err := r.probe(ctx, p.name, target)
	if ctx.Err() != nil || !r.record(p, inst, health) {
		return
	}
	log := r.deps.Log.With(slog.String("target", p.name), slog.String("url", inst.url))
	if err != nil {
		log.Warn("instance "+string(health.public()), slog.Any("error", err))
		return
	}
	log.Info("instance " + string(health))
}

// record takes over the result of a check, schedules the next one, and reports whether the health changed.
func (r *Registry) record(p *pool, inst *instance, health Health) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	inst.checking = false
	inst.nextCheck = now.Add(jittered(checkInterval))
	if health != Healthy || inst.ejected(now) || inst.missing {
		inst.nextCheck = now.Add(jittered(recheck))
	}
	if len(p.watches) > 0 {
		inst.nextCheck = now.Add(WatchInterval)
		time.AfterFunc(WatchInterval, r.wakeChecker)
	}

	was := inst.health.public()
	inst.health = health
	if health == Healthy {
		if was == Unhealthy {
			inst.renew()
		}
		p.notifyWatches()
	} else {
		p.drop(func(other *instance) bool { return other == inst && inst.missing })
	}
	return health.public() != was
}

// probe asks an instance's health endpoint. Healthy means a 2xx answer that names this service or none.
func (r *Registry) probe(ctx context.Context, service, target string) (Health, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return unreachable, err
	}
	resp, err := r.deps.HTTP.Do(req)
	if err != nil {
		return unreachable, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, healthBodySize))
	if err != nil {
		return unreachable, err
	}
	if named := namedService(body); named != "" && named != service {
		return Foreign, fmt.Errorf("address answers as service %q", named)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return Unhealthy, fmt.Errorf("health answered %d", resp.StatusCode)
	}
	return Healthy, nil
}

// namedService returns the service a health answer names, or "": an endpoint added by hand need not be one of ours.
func namedService(body []byte) string {
	var answer struct {
		Service string `json:"service"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	return answer.Service
}
