package chassis_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/testkit"
)

// Keys change while a gateway sends 100 requests a second to a front service, which calls a
// back service for each: no request fails. The instances restart one by one, callers first
// when the new key comes, and last when the old one goes.
func TestKeyRotationUnderLoad(t *testing.T) {
	t.Parallel()
	t.Run("from one secret straight to two", func(t *testing.T) {
		t.Parallel()
		const old, fresh = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
		newFleet(t).rotate([]string{"SERVICE_SECRET=" + old, "SERVICE_SECRETS=k2:" + fresh + ",k1:" + old, "SERVICE_SECRETS=k2:" + fresh})
	})
	t.Run("key pairs of each service", func(t *testing.T) {
		t.Parallel()
		f := newFleet(t)
		var public [3][]string
		var private []map[string]string
		for range 3 {
			private = append(private, map[string]string{})
		}
		for _, s := range []*service{f.gateway, f.front, f.back} {
			old, fresh := string(serviceauth.NewPrivateKey()), string(serviceauth.NewPrivateKey())
			for step, keys := range []string{old, fresh + old, fresh} {
				list, err := serviceauth.PublicKeys(s.name, keys)
				if err != nil {
					t.Fatal(err)
				}
				for _, key := range list {
					public[step] = append(public[step], key.String())
				}
				private[step][s.name] = keys
			}
		}
		f.keysOf = func(name string, step int) string { return "SERVICE_KEY=" + private[step][name] }
		var common []string
		for step := range public {
			common = append(common, "SERVICE_PUBLIC_KEYS="+strings.Join(public[step], "\n"))
		}
		f.rotate(common)
	})
}

// fleet is a gateway and two services, each of the services in two instances.
type fleet struct {
	t                    *testing.T
	gateway, front, back *service
	redis                string                                // REDIS_URL of all
	keysOf               func(service string, step int) string // a further variable; may be nil

	caller atomic.Pointer[instance]
	calls  atomic.Int64
	mu     sync.Mutex
	errs   []error
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, gateway: newService(t), front: newService(t), back: newService(t)}
	for _, s := range []*service{f.gateway, f.front, f.back} {
		s.migrate()
		f.redis = s.environ[slices.IndexFunc(s.environ, func(v string) bool { return strings.HasPrefix(v, "REDIS_URL=") })]
	}
	return f
}

// launch starts an instance with the keys of a step and waits until it is ready.
func (f *fleet) launch(s *service, variables []string, step int) *instance {
	environ := slices.DeleteFunc(slices.Clone(s.environ), func(v string) bool { return strings.HasPrefix(v, "SERVICE_SECRET=") })
	environ = append(environ, "REGISTRY=redis", "DRAIN_DELAY=2s", f.redis, variables[step])
	if f.keysOf != nil {
		environ = append(environ, f.keysOf(s.name, step))
	}
	i := start(f.t, environ, func(ch *chassis.Chassis) {
		r := ch.HTTP.Router()
		switch s {
		case f.front:
			r.GET("/work", httpserver.Callers(f.gateway.name), httpserver.Handle(func(c *gin.Context) error {
				_, err := serviceclient.Get[struct{}](c.Request.Context(), ch.Client(f.back.name, serviceclient.Config{}), "/work")
				if err != nil {
					return err
				}
				return httpserver.NoContent(c)
			}))
		case f.back:
			r.GET("/work", httpserver.Callers(f.front.name), httpserver.Handle(httpserver.NoContent))
		}
	})
	testkit.Eventually(f.t, 20*time.Second, func() string {
		if i.status("/readyz") != http.StatusOK {
			return s.name + " is not ready"
		}
		return ""
	})
	return i
}

// rotate goes through the steps, of which variables has a value each, under load.
func (f *fleet) rotate(variables []string) {
	f.t.Helper()
	running := map[*service][]*instance{}
	for _, s := range []*service{f.back, f.back, f.front, f.front} {
		running[s] = append(running[s], f.launch(s, variables, 0))
	}
	f.caller.Store(f.launch(f.gateway, variables, 0))
	testkit.Eventually(f.t, 20*time.Second, func() string {
		if err := f.call(); err != nil {
			return err.Error()
		}
		return ""
	})

	stop := f.load()
	for step, order := range [][]*service{1: {f.gateway, f.front, f.back}, 2: {f.back, f.front, f.gateway}} {
		for _, s := range order {
			if s == f.gateway {
				f.caller.Store(f.launch(s, variables, step))
			}
			var stopped sync.WaitGroup
			for n, old := range running[s] {
				running[s][n] = f.launch(s, variables, step)
				stopped.Go(old.stop)
			}
			stopped.Wait()
		}
	}
	stop()
	if len(f.errs) > 0 {
		f.t.Errorf("%d of %d requests failed, the first: %v", len(f.errs), f.calls.Load(), f.errs[0])
	}
	f.t.Logf("%d requests", f.calls.Load())
}

func (f *fleet) call() error {
	_, err := serviceclient.Get[struct{}](f.t.Context(), f.caller.Load().Client(f.front.name, serviceclient.Config{}), "/work")
	return err
}

// load sends 100 requests a second until stop is called.
func (f *fleet) load() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var wg sync.WaitGroup
		defer wg.Wait()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			wg.Go(func() {
				f.calls.Add(1)
				err := f.call()
				if err != nil {
					f.mu.Lock()
					defer f.mu.Unlock()
					f.errs = append(f.errs, err)
				}
			})
		}
	}()
	return func() { close(done); <-ended }
}
