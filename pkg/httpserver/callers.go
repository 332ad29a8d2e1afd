package httpserver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/userauth"
)

var errOverloaded = fault.New(fault.Unavailable, fault.CodeOverloaded, "Too many requests at once").
	WithRetryAfter(time.Second)

// errTwoIdentities follows RFC 6750, 3.1: a request with several tokens is invalid.
var errTwoIdentities = fault.New(fault.Malformed, "two_identities", "Give a service token or an access token, not both")

// VerifyUsers sets the verifier of people's access tokens. Without one they are refused.
// Call it before Run.
func (s *Server) VerifyUsers(v *userauth.Verifier) { s.users = v }

// admit accepts the requests that a takes and puts the caller into their context. An
// accepted request counts against Config.InFlight until the handlers after this one return;
// above the limit it gets 503 at once.
func (s *Server) admit(a Access) gin.HandlerFunc {
	return Handle(func(c *gin.Context) error {
		caller, err := s.authenticate(c, a)
		if err != nil {
			switch fault.From(err).Kind() {
			case fault.Unauthenticated:
				c.Header("WWW-Authenticate", a.challenge())
				s.deny(c, err)
			case fault.Forbidden:
				s.deny(c, err)
			}
			return err
		}
		if c.Request.Method != http.MethodGet && c.Request.Method != http.MethodHead && c.Request.Header["If-None-Match"] != nil {
			return errIfNoneMatch
		}
		s.readBody(c)
		if a.unlimited {
			return nil
		}
		if !s.limiter.enter(caller) {
			s.deps.Metrics.Refused("in_flight")
			return errOverloaded
		}
		defer s.limiter.leave(caller)
		s.deps.Metrics.InFlight(1)
		defer s.deps.Metrics.InFlight(-1)
		c.Next()
		if last := c.Errors.Last(); last != nil { // such as a wrong password
			if kind := fault.From(last.Err).Kind(); kind == fault.Unauthenticated || kind == fault.TooMany {
				s.countDenial(c, last.Err)
			}
		}
		return nil
	})
}

// userCaller is the caller of all people, in the log and in the limit of requests in
// flight. It is not the name of a service.
const userCaller = "(user)"

// authenticate returns the name of the caller, of a public route its path. A service that calls
// on behalf of a person may do what both may.
func (s *Server) authenticate(c *gin.Context, a Access) (caller string, err error) {
	h := c.Request.Header
	_, service := h[serviceauth.Header]
	_, user := h[userauth.Header]
	switch {
	case a.public: // each route for itself: a flood of one leaves room for the others
		return c.FullPath(), nil
	case service && user:
		return "", errTwoIdentities
	case user:
		return userCaller, s.authenticateUser(c, a)
	case !service && a.users:
		return "", serviceauth.ErrRequired.WithDetail("or a person's access token, as Authorization: Bearer")
	}
	caller, onBehalfOf, err := s.deps.Verifier.Identify(h)
	if err != nil {
		return "", err
	}
	ctx := serviceauth.WithCaller(c.Request.Context(), caller)
	if onBehalfOf != uuid.Nil {
		ctx = userauth.WithUser(ctx, onBehalfOf)
	}
	c.Request = c.Request.WithContext(ctx)
	if !a.Allows(caller) || onBehalfOf != uuid.Nil && !a.users {
		return "", serviceauth.ErrForbidden
	}
	return caller, nil
}

func (s *Server) authenticateUser(c *gin.Context, a Access) error {
	if s.users == nil {
		return userauth.ErrInvalid
	}
	ctx := c.Request.Context()
	id, err := s.users.Verify(ctx, c.Request.Header)
	if err != nil {
		return err
	}
	c.Request = c.Request.WithContext(userauth.WithUser(ctx, id))
	if !a.users {
		return serviceauth.ErrForbidden
	}
	return nil
}

// readBody reads the request's body into memory, so that a slow sender does not count
// as a request in flight. The handler that reads the body gets the error of reading it.
func (s *Server) readBody(c *gin.Context) {
	r := c.Request
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(c.Writer)
	stop := context.AfterFunc(s.draining, func() { _ = control.SetReadDeadline(time.Now().Add(drainBodyTimeout)) })
	defer stop()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failingReader{err}))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
}

// failingReader fails every Read with err.
type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// limiter bounds the requests in flight. It is safe for concurrent use.
type limiter struct {
	limit int // 0 for none

	mu      sync.Mutex
	total   int
	callers map[string]int // requests in flight by caller, of all callers so far
}

// enter counts a request of caller and reports whether it is within the limit. Once there
// is a second caller, a quarter of the limit is out of reach for each single caller, so
// that a busy caller does not stop another's calls.
func (l *limiter) enter(caller string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.callers[caller]; !known {
		l.callers[caller] = 0
	}
	reserved := 0
	if len(l.callers) > 1 && l.limit > 1 {
		reserved = max(l.limit/4, 1)
	}
	if l.limit > 0 && (l.total >= l.limit || l.callers[caller] >= l.limit-reserved) {
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
