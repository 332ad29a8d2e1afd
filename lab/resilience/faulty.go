package resilience

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/pkg/registry"
)

// Fault serves a call in place of pass.
type Fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)

// FailFast returns 500 after a millisecond.
func FailFast(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	_ = poll.Sleep(r.Context(), time.Millisecond)
	http.Error(w, `{"error": "broken"}`, http.StatusInternalServerError)
}

// Slow takes ten times as long as the instance behind.
func Slow(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	began := time.Now()
	pass.ServeHTTP(&late{ResponseWriter: w, wait: func() { _ = poll.Sleep(r.Context(), 9*time.Since(began)) }}, r)
}

// Flaky fails at once in 30 of 100 calls.
func Flaky(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	if rand.IntN(100) < 30 {
		FailFast(w, r, pass)
		return
	}
	pass.ServeHTTP(w, r)
}

// Hang never responds.
func Hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// late waits before the response begins.
type late struct {
	http.ResponseWriter
	wait func()
}

// WriteHeader implements [http.ResponseWriter].
func (l *late) WriteHeader(status int) {
	l.wait()
	l.ResponseWriter.WriteHeader(status)
}

// Faulty is a proxy of an instance of user-service that registers as one. Its health is
// that of the instance behind, also when calls fail: the health check does not help
// the callers.
type Faulty struct {
	URL string

	fault    atomic.Pointer[Fault]
	seen     sync.Map // caller's name -> *atomic.Int64
	affected atomic.Int64
	server   *http.Server
	registry *registry.Registry
	redis    *redis.Client
	stop     context.CancelFunc
	done     sync.WaitGroup
}

// NewFaulty registers a new instance that passes calls on to behind.
func (s *Stack) NewFaulty(ctx context.Context, behind Part) (*Faulty, error) {
	target, err := url.Parse(behind.URL)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Faulty{URL: "http://" + l.Addr().String()}
	pass := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	f.server = &http.Server{Handler: f.handler(pass)}
	f.done.Go(func() { _ = f.server.Serve(l) })
	if f.redis, f.registry, err = s.registry(nil); err != nil {
		return f, err
	}
	running, stop := context.WithCancel(context.Background())
	f.stop = stop
	f.done.Go(func() { _ = f.registry.Run(running) })
	return f, f.registry.Announce(ctx, environment.User, f.URL)
}

func (f *Faulty) handler(pass http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == registry.DefaultHealthEndpoint {
			pass.ServeHTTP(w, r)
			return
		}
		f.Seen(r.Header.Get("X-Service-Name")).Add(1)
		if fault := f.fault.Load(); fault != nil {
			f.affected.Add(1)
			(*fault)(w, r, pass)
			return
		}
		pass.ServeHTTP(w, r)
	})
}

// Do applies the fault to calls from now on.
func (f *Faulty) Do(fault Fault) { f.fault.Store(&fault) }

// Seen returns the count of the calls of a caller.
func (f *Faulty) Seen(caller string) *atomic.Int64 {
	n, _ := f.seen.LoadOrStore(caller, new(atomic.Int64))
	return n.(*atomic.Int64)
}

// Affected returns how many calls came since [Faulty.Do].
func (f *Faulty) Affected() int { return int(f.affected.Load()) }

// Withdraw deregisters the instance, which serves the calls that still come.
func (f *Faulty) Withdraw(ctx context.Context) error {
	f.fault.Store(nil)
	return f.registry.Withdraw(ctx)
}

// Close ends the instance at once.
func (f *Faulty) Close() {
	_ = f.server.Close()
	f.stop()
	f.done.Wait()
	_ = f.redis.Close()
}
