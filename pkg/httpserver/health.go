package httpserver

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/metrics"
)

type liveness struct {
	Status string `json:"status"`
}

type readyState struct {
	Status  string   `json:"status"`
	Failing []string `json:"failing,omitempty"`
}

// Ready adds a readiness check: /readyz returns 503 with the name while check
// fails. Checks run side by side, each with 1 s and never twice at once; their
// answer holds for 500 ms. What a check says goes into the log, not to the caller.
func (s *Server) Ready(name string, check func(ctx context.Context) error) {
	s.ready.add(name, check)
}

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

// live responds as long as the process runs.
func live(c *gin.Context) error {
	return JSON(c, http.StatusOK, liveness{Status: "alive"})
}

// readyz reports whether to send requests here.
func (s *Server) readyz(c *gin.Context) error {
	if s.draining.Load() {
		return JSON(c, http.StatusServiceUnavailable, readyState{Status: "draining"})
	}
	failing := s.ready.failing(c.Request.Context(), time.Now())
	if len(failing) > 0 {
		return JSON(c, http.StatusServiceUnavailable, readyState{Status: "not ready", Failing: failing})
	}
	return JSON(c, http.StatusOK, readyState{Status: "ready"})
}
