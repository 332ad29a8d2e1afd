package chassis_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// get returns status, Retry-After and body of a GET.
func (i *instance) get(path string, header ...string) (status int, retryAfter, body string) {
	i.t.Helper()
	req, err := http.NewRequestWithContext(i.t.Context(), http.MethodGet, i.url+path, nil)
	if err != nil {
		i.t.Fatal(err)
	}
	for n := 0; n+1 < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		i.t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		i.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Retry-After"), text.String()
}

// overloaded is a service with a pool of one connection, which a request holds,
// and as many requests in hand as it takes: four for a connection.
func overloaded(t *testing.T, holders int) (i *instance, token string, release func()) {
	t.Helper()
	s := newService(t)
	s.migrate()
	held, leave := make(chan struct{}), make(chan struct{})
	i = start(t, append(s.environ, "DB_POOL_MAX=1"), func(ch *chassis.Chassis) {
		r, gateway := ch.HTTP.Router(), httpserver.Callers("gateway")
		r.GET("/hold", gateway, httpserver.Handle(func(c *gin.Context) error {
			return ch.DB.Transaction(func(*gorm.DB) error { held <- struct{}{}; <-leave; return nil })
		}))
		r.GET("/wait", gateway, httpserver.Handle(func(*gin.Context) error { held <- struct{}{}; <-leave; return nil }))
		r.GET("/query", gateway, httpserver.Handle(func(c *gin.Context) error {
			if err := ch.DB.WithContext(c).Exec("SELECT 1").Error; err != nil {
				return err
			}
			return httpserver.JSON(c, http.StatusOK, "done")
		}))
	})
	done := make(chan int, holders)
	for n := range holders {
		path := "/wait"
		if n == 0 {
			path = "/hold"
		}
		go func() { done <- i.status(path, serviceauth.Header, s.token("gateway")) }()
		<-held
	}
	return i, s.token("gateway"), func() {
		close(leave)
		for range holders {
			<-done
		}
	}
}

// Without a free connection a request gets 503 within a second, or within the
// time that its caller has.
func TestWaitForTheDatabaseIsBounded(t *testing.T) {
	t.Parallel()
	i, token, release := overloaded(t, 1)
	took := map[string]time.Duration{}
	for _, header := range []string{"", "200"} {
		began := time.Now()
		status, retryAfter, body := i.get("/query", serviceauth.Header, token, "X-Request-Timeout-Ms", header)
		took[header] = time.Since(began)
		if status != http.StatusServiceUnavailable || retryAfter != "1" || !strings.Contains(body, `"code":"database_busy"`) || took[header] > 5*time.Second {
			t.Errorf("timeout %q: status %d, Retry-After %q after %v: %s", header, status, retryAfter, took[header], body)
		}
	}
	if took[""] < time.Second || took["200"] >= took[""] {
		t.Errorf("refused after %v, want a second, and sooner with a caller's 200 ms", took)
	}
	if got := i.status("/health"); got != http.StatusOK {
		t.Errorf("/health answers %d meanwhile", got)
	}
	release()
	if status, _, body := i.get("/query", serviceauth.Header, token); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, body)
	}
}

// With four requests in hand for each connection the next is refused at once.
func TestTooManyRequestsAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	i, token, release := overloaded(t, 4)
	status, retryAfter, body := i.get("/query", serviceauth.Header, token)
	if status != http.StatusServiceUnavailable || retryAfter != "1" || !strings.Contains(body, `"code":"overloaded"`) {
		t.Errorf("status %d, Retry-After %q: %s", status, retryAfter, body)
	}
	for _, path := range []string{"/health", "/livez"} {
		if got := i.status(path); got != http.StatusOK {
			t.Errorf("%s answers %d meanwhile", path, got)
		}
	}
	release()
	if status, _, body := i.get("/query", serviceauth.Header, token); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, body)
	}
}
