package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

const (
	recheck        = time.Second // between checks of an instance in doubt
	healthBodySize = 64 << 10    // bytes read of a health answer
)

// checkClient opens a connection for each check, which so proves that new calls are accepted.
func checkClient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
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
	now := time.Now()
	for _, p := range r.allPools() {
		for _, inst := range p.all() {
			if now.UnixNano() >= inst.nextCheck.Load() && !inst.checking.Swap(true) {
				wg.Go(func() { r.check(ctx, p, inst) })
			}
		}
	}
}

func (r *Registry) check(ctx context.Context, p *pool, inst *instance) {
	defer inst.checking.Store(false)
	err := r.probe(ctx, p.name, inst)
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	inDoubt := err != nil || inst.ejected(now) || inst.missing.Load()
	r.record(p, inst, err)
	if err == nil {
		p.looksWell()
	}
	pause := jittered(r.cfg.CheckInterval)
	switch {
	case p.watched():
		pause = min(pause, WatchInterval)
		time.AfterFunc(pause, r.wakeChecker)
	case inDoubt:
		pause = min(pause, jittered(recheck))
	}
	inst.nextCheck.Store(now.Add(pause).UnixNano())
}

// record takes over the result of a check and logs a change.
func (r *Registry) record(p *pool, inst *instance, err error) {
	was, now := *inst.state.Load(), healthOf(err)
	_, says := errors.AsType[ailing](err)
	inst.reportsUnhealthy.Store(says)
	if was == Unhealthy && now == Healthy {
		inst.renew()
	}
	if now != was {
		inst.setState(now)
		r.logHealth(p, inst, now, err)
	}
	if now != Healthy {
		p.dropIfGone(inst)
	}
}

func (r *Registry) logHealth(p *pool, inst *instance, now Health, err error) {
	log := r.log.With(slog.String("target", p.name), slog.String("url", inst.url))
	if err != nil {
		log.Warn("instance "+string(now), slog.Any("error", err))
		return
	}
	log.Info("instance " + string(now))
}

// foreign is the name of another service, which answered at the address.
type foreign string

func (f foreign) Error() string { return fmt.Sprintf("address answers as service %q", string(f)) }

// ailing is the status with which an instance said itself that it is not well.
type ailing int

func (a ailing) Error() string { return fmt.Sprintf("health answered %d", int(a)) }

func healthOf(err error) Health {
	if err == nil {
		return Healthy
	}
	if _, ok := errors.AsType[foreign](err); ok {
		return Foreign
	}
	return Unhealthy
}

// probe asks the instance's health endpoint; nil means a 2xx answer that names this service or none.
func (r *Registry) probe(ctx context.Context, service string, inst *instance) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.CheckTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, inst.url+*inst.health.Load(), nil)
	if err != nil {
		return err
	}
	resp, err := r.deps.HTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, healthBodySize))
	if err != nil {
		return err
	}
	if named := namedService(body); named != "" && named != service {
		return foreign(named)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return ailing(resp.StatusCode)
	}
	return nil
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

// jittered is d give or take a tenth, so that many callers do not ask in step.
func jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
