package httpserver

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// Limits of requests that fail to authenticate.
const (
	freeDenials = 10 // of one client in a row, before its next ones wait
	firstDelay  = 10 * time.Millisecond
	maxDelay    = time.Second // delays double up to this
	forgetAfter = time.Minute // without a further one
	maxPeers    = 1024        // clients remembered
	maxDelayed  = 64          // requests that wait at once; further ones do not
	logEvery    = time.Second // one log line at most
)

// deny counts a request whose caller is unknown or not allowed, logs it, and delays the
// response to an address that repeatedly fails to authenticate.
func (s *Server) deny(c *gin.Context, err error) {
	s.countDenial(c, err)
	if errors.Is(err, serviceauth.ErrForbidden) {
		return
	}
	delay := s.denials.delay(Network(s.ClientAddr(c.Request)), time.Now())
	if delay == 0 {
		return
	}
	defer s.denials.done()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.Request.Context().Done():
	case <-s.draining.Done():
	}
}

// countDenial counts and logs a denial.
func (s *Server) countDenial(c *gin.Context, err error) {
	s.deps.Metrics.Refused(fault.From(err).Code())
	if skipped, ok := s.denials.log(time.Now()); ok {
		s.deps.Log.LogAttrs(c.Request.Context(), slog.LevelWarn, "request denied",
			slog.String("error", err.Error()), slog.String("client_address", s.ClientAddr(c.Request).String()),
			slog.String("route", c.FullPath()), slog.Int("not_logged", skipped))
	}
}

// denials remembers which addresses failed to authenticate. It is safe for concurrent use.
type denials struct {
	mu      sync.Mutex
	peers   map[netip.Prefix]peer
	delayed int
	logged  time.Time
	skipped int // since then
}

type peer struct {
	count int
	last  time.Time
}

// log reports whether to log a denial, and how many were not logged before it.
func (d *denials) log(now time.Time) (skipped int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.logged) < logEvery {
		d.skipped++
		return 0, false
	}
	skipped, d.skipped, d.logged = d.skipped, 0, now
	return skipped, true
}

// delay counts a failure of a client and returns how long its response waits. If it is not 0,
// done has to be called afterwards.
func (d *denials) delay(client netip.Prefix, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.peers[client]
	if now.Sub(p.last) > forgetAfter {
		p.count = 0
	}
	if d.peers == nil || len(d.peers) >= maxPeers {
		d.peers = map[netip.Prefix]peer{}
	}
	p.count, p.last = p.count+1, now
	d.peers[client] = p
	if p.count <= freeDenials || d.delayed >= maxDelayed {
		return 0
	}
	d.delayed++
	doublings := min(p.count-freeDenials-1, 10)
	return min(firstDelay<<doublings, maxDelay)
}

func (d *denials) done() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delayed--
}
