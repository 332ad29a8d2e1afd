package httpserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/metrics"
)

// health responds with the last minute's figures, with 503 when too many requests
// failed in it.
func (s *Server) health(c *gin.Context) error {
	h := s.deps.Metrics.Health()
	status := http.StatusOK
	if h.Status != metrics.Healthy {
		status = http.StatusServiceUnavailable
	}
	return JSON(c, status, h)
}

type state struct {
	Status  string   `json:"status"`
	Failing []string `json:"failing,omitempty"`
}

// live responds as long as the process runs.
func live(c *gin.Context) error { return JSON(c, http.StatusOK, state{Status: "alive"}) }

// readyz reports whether to send requests here.
func (s *Server) readyz(c *gin.Context) error {
	if s.draining.Err() != nil {
		return JSON(c, http.StatusServiceUnavailable, state{Status: "draining"})
	}
	if failing := s.ready.failing(c.Request.Context()); len(failing) > 0 {
		return JSON(c, http.StatusServiceUnavailable, state{Status: "not ready", Failing: failing})
	}
	return JSON(c, http.StatusOK, state{Status: "ready"})
}

const (
	checkTimeout = time.Second
	checkValid   = 500 * time.Millisecond // how long a result of the checks is used
)

// Ready adds a readiness check: /readyz returns 503 with the name while check
// fails. Checks run concurrently, each with 1 s and never twice at once; their
// results are used for 500 ms. Their errors are logged and not sent to the caller.
func (s *Server) Ready(name string, run func(ctx context.Context) error) {
	s.ready.mu.Lock()
	defer s.ready.mu.Unlock()
	s.ready.checks = append(s.ready.checks, &check{name: name, run: run})
	s.ready.ran = time.Time{}
}

// readiness runs the checks and keeps their last result.
type readiness struct {
	log *slog.Logger

	mu     sync.Mutex
	checks []*check
	ran    time.Time
	failed []string // names of checks, in the order they were added
}

type check struct {
	name    string
	run     func(ctx context.Context) error
	running atomic.Bool
	failed  bool
}

// failing returns the names of the checks that fail.
func (r *readiness) failing(ctx context.Context) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ran.IsZero() && time.Since(r.ran) < checkValid {
		return r.failed
	}
	// Other callers use the result, so the caller's cancellation must not end the checks.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	errs := make([]error, len(r.checks))
	var wg sync.WaitGroup
	for i, c := range r.checks {
		wg.Go(func() { errs[i] = c.bounded(ctx) })
	}
	wg.Wait()
	r.failed = nil
	for i, c := range r.checks {
		if errs[i] != nil {
			r.failed = append(r.failed, c.name)
		}
		r.logChange(ctx, c, errs[i])
	}
	r.ran = time.Now()
	return r.failed
}

var errStillRunning = errors.New("the last check is still running")

// bounded returns when ctx ends even if the check does not. Such a check is not started
// again before it has returned.
func (c *check) bounded(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errStillRunning
	}
	done := make(chan error, 1)
	go func() {
		defer c.running.Store(false)
		done <- c.run(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *readiness) logChange(ctx context.Context, c *check, err error) {
	switch {
	case err != nil && !c.failed:
		r.log.WarnContext(ctx, "readiness check failed", "check", c.name, "error", err.Error())
	case err == nil && c.failed:
		r.log.InfoContext(ctx, "ready again", "check", c.name)
	}
	c.failed = err != nil
}
