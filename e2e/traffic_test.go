package e2e_test

import (
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
)

// TestSeedAndLoad makes data sets one after the other and two at once, and sends a load.
func TestSeedAndLoad(t *testing.T) {
	t.Parallel()
	s := ownStack(t)
	run := func(want string, args ...string) string {
		t.Helper()
		out, err := s.Run(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s printed, without %s:\n%s", strings.Join(args, " "), want, out)
		}
		return string(out)
	}
	run(`^20 users and [1-9]\d orders added; 0 users were there\n$`, "seed", "--users", "20")
	run(`^0 users and 0 orders added; 20 users were there\n$`, "seed", "--users", "20")
	run(`^1 users and \d orders added; 20 users were there\n$`, "seed", "--users", "21")
	run(`^21 users and .* added; 0 users were there\n$`, "seed", "--users", "21", "--number", "2")

	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if out, err := s.Run(t.Context(), "seed", "--users", "40", "--number", "3"); err != nil {
				t.Errorf("two seeds at once: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	run(`^0 users and 0 orders added; 40 users were there\n$`, "seed", "--users", "40", "--number", "3")

	c := client.New(&http.Transport{}, 15*time.Second)
	t.Cleanup(c.Close)
	r, err := c.Send(t.Context(), environment.User, http.MethodGet, s.Part(environment.User).URL+"/users?limit=1", nil)
	if err != nil || !strings.Contains(string(r.Body), `"email":"linus.hopper.1.0@example.com"`) {
		t.Errorf("the first user of the set is another one: %s, %v", r.Body, err)
	}
	out := run(`POST /orders/:id/complete +[1-9]`, "load", "--rate", "100", "--clients", "4", "--duration", "2s")
	if strings.Contains(out, "failed ") || !strings.Contains(out, "≤") {
		t.Errorf("load printed:\n%s", out)
	}
}
