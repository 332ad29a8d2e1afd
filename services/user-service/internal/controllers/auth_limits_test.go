package controllers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/testkit/apitest"
)

// A person who changes their email would otherwise learn which emails are taken.
func TestEmailChangesOfAPersonAreLimited(t *testing.T) {
	b := setup(t)
	ada := b.registerPerson(t, "ada@example.com")
	b.register(t, "bob@example.com", "Bob")
	token := "Bearer " + b.login(t, "ada@example.com").AccessToken
	change := func(email string) apitest.Answer {
		return b.Call(t, "", "PATCH", "/users/"+ada.ID.String(), fmt.Sprintf(`{"email": %q}`, email), "Authorization", token)
	}
	for i := range 9 {
		isProblem(t, change("bob@example.com"), http.StatusConflict, "email_taken")
		if i == 0 {
			apitest.Decode[any](t, change("ada@example.org"), http.StatusOK)
		}
	}
	apitest.Decode[any](t, change("ada@example.org"), http.StatusOK) // no change, which does not count
	isProblem(t, change("bob@example.com"), http.StatusTooManyRequests, "too_many_attempts")
	if a := b.Call(t, "", "PATCH", "/users/"+ada.ID.String(), `{"name": "A"}`, "Authorization", token); a.Status != http.StatusOK {
		t.Errorf("change of the name: %d %s", a.Status, a.Body)
	}
	if a := b.Call(t, "gateway", "PATCH", "/users/"+ada.ID.String(), `{"email": "ada@example.net"}`); a.Status != http.StatusOK {
		t.Errorf("change by a service: %d %s", a.Status, a.Body)
	}
}

// A login that the service did not come to, because others' passwords were hashed first, is no
// failed login.
func TestLoginsThatWereNotTriedDoNotCount(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	login := func(ctx context.Context, n int, email string) int {
		r := b.Request(t, "", "POST", "/auth/login", fmt.Sprintf(`{"email": %q, "password": "three other words"}`, email))
		r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1", n)
		w := httptest.NewRecorder()
		b.HTTP.ServeHTTP(w, r.WithContext(ctx))
		return w.Code
	}
	busy, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for n := range 4 * runtime.GOMAXPROCS(0) { // each always waits for its turn
		wg.Go(func() {
			for i := 0; busy.Err() == nil; i++ {
				login(busy, n, fmt.Sprintf("eve%d-%d@example.com", n, i))
			}
		})
	}
	for range 25 {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		if code := login(ctx, 250, "ada@example.com"); code == http.StatusUnauthorized || code == http.StatusTooManyRequests {
			t.Errorf("status %d", code)
		}
		cancel()
	}
	stop()
	wg.Wait()
	b.login(t, "ada@example.com")
}

func TestSessionsAreBounded(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	first := b.login(t, "ada@example.com")
	if err := b.Data.Gorm.Exec(`INSERT INTO refresh_tokens (hash, family, user_id, expires_at)
		SELECT sha256(n::text::bytea), gen_random_uuid(), user_id, expires_at + interval '1 second' FROM refresh_tokens, generate_series(1, 49) n`).Error; err != nil {
		t.Fatal(err)
	}
	last := b.login(t, "ada@example.com")
	if n := b.count(t, "refresh_tokens"); n != 50 {
		t.Errorf("%d sessions, want 50", n)
	}
	isProblem(t, b.send(t, "/auth/refresh", first.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")

	// All used tokens are kept: many uses by a thief do not hide the second use of a token.
	stolen := last.RefreshToken
	for range 101 {
		last = apitest.Decode[session](t, b.send(t, "/auth/refresh", last.RefreshToken), http.StatusOK)
	}
	isProblem(t, b.send(t, "/auth/refresh", stolen), http.StatusUnauthorized, "invalid_refresh_token")
	isProblem(t, b.send(t, "/auth/refresh", last.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")

	// A session ends after 5000 tokens.
	last = b.login(t, "ada@example.com")
	if err := b.Data.Gorm.Exec(`INSERT INTO refresh_tokens (hash, family, user_id, expires_at, used_at)
		SELECT sha256((n + 100)::text::bytea), family, user_id, expires_at, now()
		FROM refresh_tokens, generate_series(1, 4998) n WHERE hash = sha256(convert_to(?, 'UTF8'))`, last.RefreshToken).Error; err != nil {
		t.Fatal(err)
	}
	last = apitest.Decode[session](t, b.send(t, "/auth/refresh", last.RefreshToken), http.StatusOK)
	isProblem(t, b.send(t, "/auth/refresh", last.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")
	if n := b.count(t, "refresh_tokens"); n != 49 {
		t.Errorf("%d tokens are left, want those of the 49 other sessions", n)
	}
}
