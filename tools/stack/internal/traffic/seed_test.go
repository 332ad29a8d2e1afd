package traffic_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-troika/troika/tools/stack/internal/stack"
	"github.com/go-troika/troika/tools/stack/internal/traffic"
)

type oneService struct {
	stack.Handle
	url string
}

func (s oneService) Status(context.Context) (stack.Status, error) {
	return stack.Status{Parts: []stack.Part{
		{Service: traffic.User, URL: s.url}, {Service: traffic.Order, URL: s.url},
	}}, nil
}

// TestTwoSeedsAtOnce: another seed adds the user after this one has listed the users, and
// places the same orders.
func TestTwoSeedsAtOnce(t *testing.T) {
	taken := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			taken = taken || r.URL.Path == "/users"
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"code":"email_taken"}`)
		case r.URL.Path == "/users" && taken:
			fmt.Fprint(w, `{"items":[{"id":"u","email":"linus.hopper.1.0@example.com"}]}`)
		default:
			fmt.Fprint(w, `{"items":[]}`)
		}
	}))
	t.Cleanup(server.Close)
	sign := func(string) (string, error) { return "", nil }
	target, err := traffic.NewTarget(t.Context(), oneService{url: server.URL}, sign)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := (traffic.Seed{Users: 1, Number: 1, Out: &out}).Run(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if want := "0 users and 0 orders added; 1 users were there\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
