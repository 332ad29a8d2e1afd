package httpserver_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// limited is a server with one route, which holds its requests until release is
// closed, and how to ask it as a caller.
func limited(t *testing.T, limit int, release chan struct{}) (b *bundle, ask func(caller string) int) {
	t.Helper()
	b = setup(t, httpserver.Config{InFlight: limit})
	b.Router().GET("/held", httpserver.Callers(httpserver.AnyCaller), httpserver.Handle(func(c *gin.Context) error { <-release; return ok(c) }))
	return b, func(caller string) int {
		return b.do(http.MethodGet, "/held", "", serviceauth.Header, b.token(t, caller)).Code
	}
}

func TestInFlightLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b, ask := limited(t, 2, release)
		codes := make(chan int)
		for range 2 {
			go func() { codes <- ask("order-service") }()
		}
		synctest.Wait()
		began := time.Now()
		w := b.do(http.MethodGet, "/held", "", serviceauth.Header, b.token(t, "order-service"))
		problem(t, w, http.StatusServiceUnavailable, "overloaded")
		if took := time.Since(began); took != 0 {
			t.Errorf("refused after %v, want at once", took)
		}
		if got := w.Header().Get("Retry-After"); got != "1" {
			t.Errorf("Retry-After %q", got)
		}
		for _, path := range []string{"/health", "/livez", "/readyz"} {
			if got := b.do(http.MethodGet, path, "").Code; got != http.StatusOK {
				t.Errorf("%s: %d under load", path, got)
			}
		}
		close(release)
		if first, second := <-codes, <-codes; first != http.StatusOK || second != http.StatusOK {
			t.Errorf("requests in flight ended with %d and %d", first, second)
		}
		if got := ask("order-service"); got != http.StatusOK {
			t.Errorf("%d after the load", got)
		}
	})
}

// One caller asks for more than there is; another is served all the same.
func TestBusyCallerDoesNotStarveOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		_, ask := limited(t, 20, release)
		codes := make(chan int, 100)
		go func() { codes <- ask("order-service") }() // known
		synctest.Wait()
		for range 60 {
			go func() { codes <- ask("gateway") }()
		}
		synctest.Wait()
		for range 4 {
			go func() { codes <- ask("order-service") }()
		}
		synctest.Wait()
		close(release)
		count := map[int]int{}
		for range 65 {
			count[<-codes]++
		}
		if count[http.StatusOK] != 20 || count[http.StatusServiceUnavailable] != 45 {
			t.Errorf("answers %v, want 15 of the busy caller and all 5 of the other", count)
		}
	})
}

// token is one that caller would send.
func (b *bundle) token(t *testing.T, caller string) string {
	t.Helper()
	token, err := serviceauth.NewSigner(b.keys, caller).Token("user-service")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// A flood of one public route, such as a login that hashes, leaves room for the others.
func TestPublicRoutesHaveRoomBesideEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := setup(t, httpserver.Config{InFlight: 8})
		b.Router().POST("/login", httpserver.Public(), httpserver.Handle(func(c *gin.Context) error { <-release; return ok(c) }))
		b.Router().GET("/keys", httpserver.Public(), httpserver.Handle(ok))
		get := func() int { return b.do(http.MethodGet, "/keys", "").Code }
		if got := get(); got != http.StatusOK {
			t.Fatalf("%d before the flood", got)
		}
		codes := make(chan int, 20)
		for range 20 {
			go func() { codes <- b.do(http.MethodPost, "/login", "").Code }()
		}
		synctest.Wait()
		if got := get(); got != http.StatusOK {
			t.Errorf("%d during the flood", got)
		}
		close(release)
		refused := 0
		for range 20 {
			if <-codes == http.StatusServiceUnavailable {
				refused++
			}
		}
		if refused != 14 {
			t.Errorf("%d requests of the flood refused, want all but 6 of 8", refused)
		}
	})
}
