package httpserver_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// Of an address that keeps sending bad tokens, the responses take longer, up to a second;
// good tokens of the same address are served at once.
func TestFailedAuthenticationIsDelayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, httpserver.Config{})
		b.Router().GET("/", httpserver.Callers("gateway"), httpserver.Handle(ok))
		good, err := serviceauth.NewSigner(b.keys, "gateway").Token("user-service")
		if err != nil {
			t.Fatal(err)
		}
		took := func(token string, status int) time.Duration {
			began := time.Now()
			if w := b.do(http.MethodGet, "/", "", serviceauth.Header, token); w.Code != status {
				t.Errorf("status %d, want %d", w.Code, status)
			}
			return time.Since(began)
		}
		var got []string
		for range 19 {
			got = append(got, took(good+"x", http.StatusUnauthorized).String())
		}
		want := strings.Repeat("0s ", 10) + "10ms 20ms 40ms 80ms 160ms 320ms 640ms 1s 1s"
		if strings.Join(got, " ") != want {
			t.Errorf("delays %v, want %s", got, want)
		}
		if d := took(good, http.StatusOK); d != 0 {
			t.Errorf("a good token waited %v", d)
		}
		pass(61 * time.Second)
		if d := took("x", http.StatusUnauthorized); d != 0 {
			t.Errorf("a minute later: %v", d)
		}

		began := time.Now()
		for host := range 11 { // one subscriber's network
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr = fmt.Sprintf("[2001:db8::%d]:1", host)
			b.ServeHTTP(httptest.NewRecorder(), r)
		}
		if d := time.Since(began); d != 10*time.Millisecond {
			t.Errorf("eleven failures from one IPv6 network waited %v, want 10ms", d)
		}
	})
}

// A flood of denied requests is counted in full and logged once a second.
func TestDenialsAreCountedAndLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, httpserver.Config{})
		b.Router().GET("/", httpserver.Callers("order-service"), httpserver.Handle(ok))
		wrong, err := serviceauth.NewSigner(b.keys, "gateway").Token("user-service")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for range 5 {
				b.do(http.MethodGet, "/", "")
				b.do(http.MethodGet, "/", "", serviceauth.Header, "secret-looking-token")
				b.do(http.MethodGet, "/", "", serviceauth.Header, wrong)
			}
			pass(61 * time.Second)
		}
		for _, reason := range []string{"service_token_required", "invalid_service_token", "caller_not_allowed"} {
			line := fmt.Sprintf("http_server_refused_requests_total{reason=%q} 10", reason)
			if !strings.Contains(scrape(b), line) {
				t.Errorf("metrics have no line %s", line)
			}
		}
		lines := b.log.lines(t, slog.LevelWarn)
		if len(lines) != 2 || lines[1]["not_logged"] != 14.0 || lines[0]["client_address"] != "192.0.2.1" {
			t.Errorf("warnings %v, want two, the second with 14 before it", lines)
		}
		if strings.Contains(b.log.String(), "secret-looking") {
			t.Error("a token is in the log")
		}
	})
}

// What an operator does is in the log, with the caller.
func TestAuditLogsWhatChangesSomething(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{Audit: true})
	b.Router().POST("/do", httpserver.Callers(serviceauth.Operator), httpserver.Handle(ok))
	b.Router().GET("/look", httpserver.Callers(serviceauth.Operator), httpserver.Handle(ok))
	token, err := serviceauth.NewSigner(b.keys, serviceauth.Operator).Token("user-service")
	if err != nil {
		t.Fatal(err)
	}
	b.do(http.MethodGet, "/look", "", serviceauth.Header, token)
	b.do(http.MethodPost, "/do", "", serviceauth.Header, token)
	lines := b.log.lines(t, slog.LevelInfo)
	if len(lines) != 1 || lines[0]["caller"] != serviceauth.Operator || lines[0]["route"] != "/do" || lines[0]["client_address"] != "192.0.2.1" {
		t.Errorf("log %v, want a line about /do", lines)
	}
}

func scrape(b *bundle) string {
	w := httptest.NewRecorder()
	b.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// pass lets d pass on the clock of a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

// A wrong password, which the handler finds, is counted and logged like a wrong token.
func TestDenialsByHandlersAreCounted(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	wrong := fault.New(fault.Unauthenticated, "invalid_credentials", "Email or password is wrong")
	b.handle(http.MethodPost, "/login", func(*gin.Context) error { return wrong })
	w := b.do(http.MethodPost, "/login", "")
	problem(t, w, http.StatusUnauthorized, "invalid_credentials")
	if got := w.Header().Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("WWW-Authenticate %q", got)
	}
	if lines := b.log.lines(t, slog.LevelWarn); len(lines) != 1 || lines[0]["msg"] != "request denied" || lines[0]["route"] != "/login" {
		t.Errorf("log %v", lines)
	}
}
