package registry_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/testkit"
)

// fleet answers health checks by URL without a network, so that time can be the bubble's.
type fleet struct {
	mu     sync.Mutex
	answer map[string]func(*http.Request) (*http.Response, error)
	asked  map[string][]time.Time
}

// fleetOf returns a fleet of instances that are all fine.
func fleetOf(urls ...string) *fleet {
	f := &fleet{answer: map[string]func(*http.Request) (*http.Response, error){}, asked: map[string][]time.Time{}}
	for _, url := range urls {
		f.set(url, fine)
	}
	return f
}

func (f *fleet) RoundTrip(req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	base := "http://" + req.URL.Host
	f.asked[base] = append(f.asked[base], time.Now())
	answer := f.answer[base]
	f.mu.Unlock()
	return answer(req)
}

func (f *fleet) set(url string, answer func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer[url] = answer
}

func (f *fleet) checks(url string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[url]
}

func says(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func hangs(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func refuses(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

var fine = says(200, `{"status":"healthy","service":"user-service"}`)

// running returns a registry of the URLs, all fine at first, with Run under way.
func running(t *testing.T, urls ...string) (*registry.Registry, *fleet) {
	t.Helper()
	f := fleetOf(urls...)
	cfg := registry.Config{URLs: map[string]string{user: strings.Join(urls, ",")}}
	r := newRegistry(t, cfg, registry.Deps{HTTP: &http.Client{Transport: f}})
	testkit.Run(t, r.Run)
	return r, f
}

func health(r *registry.Registry, url string) registry.Health {
	for _, i := range r.Instances(user) {
		if i.URL == url {
			return i.Health
		}
	}
	return "absent"
}

func TestUnknownUntilFirstChecked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, f := running(t, a, b)
		f.set(b, hangs)
		synctest.Wait()
		if got := health(r, a); got != registry.Healthy {
			t.Errorf("answered its check: %s", got)
		}
		for range 50 { // b was asked before it began to hang, or is unknown; either way a serves
			if _, err := r.GetService(user); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestUnknownServesWhileNoneIsHealthy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, f := running(t)
		f.set(a, hangs)
		if err := r.Register(user, a); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if url, err := r.GetService(user); url != a || err != nil || health(r, a) != registry.Unknown {
			t.Errorf("GetService = %q, %v; %s", url, err, health(r, a))
		}
		f.set(b, fine)
		if err := r.Register(user, b); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 50 {
			if url, _ := r.GetService(user); url != b {
				t.Fatalf("chose %s, unknown, before a healthy one", url)
			}
		}
	})
}

func TestChecksComeEveryHalfMinuteInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, f := running(t, a, b, c)
		f.set(a, hangs)
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		for _, url := range []string{b, c} {
			checks := f.checks(url)
			if len(checks) < 18 || len(checks) > 23 {
				t.Errorf("%s: %d checks in 10 minutes, want about 20", url, len(checks))
			}
			for i := 1; i < len(checks); i++ {
				// the scheduler looks once a second
				if gap := checks[i].Sub(checks[i-1]); gap < 27*time.Second || gap > 35*time.Second {
					t.Errorf("%s: checks %v apart", url, gap)
				}
			}
		}
		if health(r, a) != registry.Unhealthy || health(r, b) != registry.Healthy {
			t.Errorf("a hung endpoint: %s, the others: %s", health(r, a), health(r, b))
		}
	})
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		want   registry.Health
	}{
		"fine":               {fine, registry.Healthy},
		"no JSON":            {says(204, ""), registry.Healthy},
		"nameless":           {says(200, `{"status":"healthy"}`), registry.Healthy},
		"garbage":            {says(200, strings.Repeat("{", 1<<20)), registry.Healthy},
		"503":                {says(503, `{"service":"user-service"}`), registry.Unhealthy},
		"redirect":           {says(302, ""), registry.Unhealthy},
		"refused":            {refuses, registry.Unhealthy},
		"hangs":              {hangs, registry.Unhealthy},
		"another service":    {says(200, `{"service":"order-service"}`), registry.Foreign},
		"another, unhealthy": {says(503, `{"service":"order-service"}`), registry.Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, f := running(t)
				f.set(a, row.answer)
				if err := r.Register(user, a); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if got := health(r, a); got != row.want {
					t.Errorf("health = %s, want %s", got, row.want)
				}
			})
		})
	}
}

func TestAllUnhealthy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, f := running(t)
		f.set(a, refuses)
		f.set(b, says(200, `{"service":"order-service"}`))
		for _, url := range []string{a, b} {
			if err := r.Register(user, url); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if _, err := r.GetService(user); !errors.Is(err, registry.ErrNotAvailable) {
			t.Errorf("GetService: %v", err)
		}
		for range 50 { // Pick tries the unhealthy one, but never another service's address
			if lease, err := r.Pick(user); err != nil || lease.URL != a {
				t.Fatalf("Pick = %q, %v", lease.URL, err)
			}
		}
		f.set(a, fine)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if url, err := r.GetService(user); url != a || err != nil {
			t.Errorf("3 s after its return: GetService = %q, %v", url, err)
		}
	})
}

func TestReturnEndsEjection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, f := running(t, a, b, c)
		synctest.Wait()
		f.set(a, refuses)
		fail(t, r, a, 5)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if health(r, a) != registry.Unhealthy {
			t.Fatalf("2 s after its ejection: %s", health(r, a))
		}
		f.set(a, fine)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if health(r, a) != registry.Healthy || ejected(r) != nil {
			t.Errorf("2 s after its return: %s, ejected %v", health(r, a), ejected(r))
		}
	})
}

func TestHealthyAnswersDoNotEndEjection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _ := running(t, a, b, c)
		synctest.Wait()
		fail(t, r, a, 5) // its calls fail, though its health is fine
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if ejected(r) == nil {
			t.Error("back too early")
		}
	})
}

func TestLessThanHalfAvailableIgnoresEjection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, f := running(t, a, b, c)
		synctest.Wait()
		fail(t, r, a, 5)
		f.set(b, refuses)
		time.Sleep(35 * time.Second)
		fail(t, r, a, 5) // one in three unhealthy, one ejected: a third is available
		synctest.Wait()
		seen := map[string]bool{}
		for range 100 {
			lease, err := r.Pick(user)
			if err != nil {
				t.Fatal(err)
			}
			seen[lease.URL] = true
			lease.Done(breaker.Ignore, 0)
			time.Sleep(50 * time.Millisecond) // past failures fade
		}
		if !seen[a] || seen[b] || !seen[c] {
			t.Errorf("chose %v; want the ejected and the healthy one, not the unhealthy one", seen)
		}
	})
}

// An instance whose dependency was down says for a minute that it is unhealthy. If
// the only other one dies meanwhile, calls go to it all the same.
func TestUnhealthyIsPreferredToUnreachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, f := running(t, a, b)
		f.set(a, says(503, `{"status":"unhealthy","service":"user-service"}`))
		time.Sleep(35 * time.Second)
		if health(r, a) != registry.Unhealthy || health(r, b) != registry.Healthy {
			t.Fatalf("%s and %s, want one unhealthy", health(r, a), health(r, b))
		}
		if lease, err := r.Pick(user); err != nil || lease.URL != b {
			t.Errorf("at first: Pick = %q, %v", lease.URL, err)
		}
		if !r.Another(user, b) {
			t.Error("there is no other one to try")
		}
		for range 50 {
			if lease, err := r.Pick(user, b); err != nil || lease.URL != a {
				t.Fatalf("with the healthy one tried: Pick = %q, %v", lease.URL, err)
			}
		}
		f.set(a, refuses)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if r.Another(user, b) {
			t.Error("one that does not answer is another to try")
		}
	})
}
