package httpserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// limiter bounds the requests of known callers that are in hand. It is safe for
// concurrent use.
type limiter struct {
	limit int // 0 for none

	mu      sync.Mutex
	total   int
	callers map[string]int // in hand, of everyone who has called
}

func newLimiter(limit int) *limiter { return &limiter{limit: limit, callers: map[string]int{}} }

// enter takes a place for a request of caller and reports whether there was one. A
// quarter of the places is kept from whoever has the others, once a second caller is
// known: a busy caller does not stop another's calls.
func (l *limiter) enter(caller string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	own, known := l.callers[caller]
	if !known {
		l.callers[caller] = 0
	}
	kept := 0
	if len(l.callers) > 1 && l.limit > 1 {
		kept = max(l.limit/4, 1)
	}
	if l.limit > 0 && (l.total >= l.limit || own >= l.limit-kept) {
		return false
	}
	l.total++
	l.callers[caller]++
	return true
}

func (l *limiter) leave(caller string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	l.callers[caller]--
}

// place is what a request has of a limiter. It serves one goroutine.
type place struct {
	server *Server
	caller string
	taken  bool
	exempt bool
}

type placeKey struct{}

// take takes the request's place, in the name of its caller.
func (p *place) take(caller string) error {
	if p.taken || p.exempt {
		return nil
	}
	if !p.server.limiter.enter(caller) {
		p.server.deps.Metrics.Refused("in_flight")
		return errOverloaded
	}
	p.caller, p.taken = caller, true
	p.server.deps.Metrics.InFlight(1)
	return nil
}

func (p *place) leave() {
	if p.taken {
		p.server.limiter.leave(p.caller)
		p.server.deps.Metrics.InFlight(-1)
	}
}

// receive waits for the body of a request, before it has a place: whoever sends it
// slowly, or not at all, keeps nobody out. What reading it ended with is for whoever
// reads it then.
func (p *place) receive(c *gin.Context) {
	r := c.Request
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(c.Writer)
	stop := context.AfterFunc(p.server.drained, func() { _ = control.SetReadDeadline(time.Now().Add(drainBody)) })
	defer stop()
	data, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(&received{bytes.NewReader(data), err})
}

// drainBody is how long a server that drains waits for the rest of a body.
const drainBody = time.Second

// received is a body that has come, and how its reading ended.
type received struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (r *received) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) && r.err != nil {
		err = r.err
	}
	return n, err
}

// OwnLimit exempts a route from Config.InFlight, because it has its own limit. It stands
// before [Callers].
func OwnLimit() gin.HandlerFunc {
	return func(c *gin.Context) {
		if p := placeOf(c.Request.Context()); p != nil {
			p.exempt = true
		}
	}
}

// placeOf returns the place of a request, nil outside of a Server.
func placeOf(ctx context.Context) *place {
	p, _ := ctx.Value(placeKey{}).(*place)
	return p
}
