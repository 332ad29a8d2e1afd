package controllers_test

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/user-service/internal/services"
)

const goodPassword = "three plain words"

type session struct {
	AccessToken, TokenType, RefreshToken string
	ExpiresIn                            int
}

func (b bundle) registerPerson(t testing.TB, email string) contracts.User {
	t.Helper()
	body := fmt.Sprintf(`{"email": %q, "name": "Ada", "password": %q}`, email, goodPassword)
	return apitest.Decode[contracts.User](t, b.Call(t, "", "POST", "/auth/register", body), http.StatusCreated)
}

func (b bundle) tryLogin(t testing.TB, email, password string, header ...string) apitest.Answer {
	t.Helper()
	return b.Call(t, "", "POST", "/auth/login", fmt.Sprintf(`{"email": %q, "password": %q}`, email, password), header...)
}

func (b bundle) login(t testing.TB, email string) session {
	t.Helper()
	return apitest.Decode[session](t, b.tryLogin(t, email, goodPassword), http.StatusOK)
}

func (b bundle) send(t testing.TB, path, refreshToken string) apitest.Answer {
	t.Helper()
	return b.Call(t, "", "POST", path, fmt.Sprintf(`{"refreshToken": %q}`, refreshToken))
}

// isProblem fails t unless a is the problem.
func isProblem(t testing.TB, a apitest.Answer, status int, code string) {
	t.Helper()
	if p := apitest.Decode[apitest.Problem](t, a, status); p.Code != code {
		t.Errorf("got %s, want %s", p.Code, code)
	}
}

func TestIdentities(t *testing.T) {
	b := setup(t)
	b.Identities(t, func(t testing.TB) (uuid.UUID, map[string]string) {
		// The email of the document's example is free for each request.
		if err := b.Data.Gorm.Exec("UPDATE users SET email = id || '@example.com' WHERE email <> ''").Error; err != nil {
			t.Fatal(err)
		}
		id := b.register(t, uuid.NewString()+"@example.com", "Ada").ID
		return id, map[string]string{"id": id.String()}
	}, contracts.Callers()...)
}

func TestLogin(t *testing.T) {
	b := setup(t)
	user := b.registerPerson(t, "ada@example.com")
	if diff := cmp.Diff([]string{"user.created " + user.ID.String()}, b.Published(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	s := b.login(t, " ADA@example.com")
	if s.TokenType != "Bearer" || s.ExpiresIn != 600 || len(s.RefreshToken) != 43 {
		t.Errorf("session %+v", s)
	}
	bearer := []string{userauth.Header, "Bearer " + s.AccessToken}
	shown := apitest.Decode[contracts.User](t, b.Call(t, "", "GET", "/users/"+user.ID.String(), "", bearer...), http.StatusOK)
	if shown != user {
		t.Errorf("got %+v, want %+v", shown, user)
	}
	b.register(t, "bob@example.com", "Bob") // by a service: without a password
	for name, a := range map[string]apitest.Answer{
		"wrong password":    b.tryLogin(t, "ada@example.com", "three other words"),
		"no account":        b.tryLogin(t, "eve@example.com", goodPassword),
		"no password":       b.tryLogin(t, "bob@example.com", goodPassword),
		"absurd password":   b.tryLogin(t, "ada@example.com", strings.Repeat("x", 100_000)),
		"password's hash":   b.tryLogin(t, "ada@example.com", "$argon2id$v=19$m=19456,t=2,p=1$"),
		"trailing space":    b.tryLogin(t, "ada@example.com", goodPassword+" "),
		"password in upper": b.tryLogin(t, "ada@example.com", strings.ToUpper(goodPassword)),
	} {
		t.Run(name, func(t *testing.T) { isProblem(t, a, http.StatusUnauthorized, "invalid_credentials") })
	}
	isProblem(t, b.tryLogin(t, "ada@example.com", ""), http.StatusBadRequest, "validation_failed")
}

// What order-service does on behalf of a person is limited to that person.
func TestCallsOnBehalfOfPeople(t *testing.T) {
	b := setup(t)
	ada, bob := b.register(t, "ada@example.com", "Ada"), b.register(t, "bob@example.com", "Bob")
	signer := serviceauth.NewSigner(apitest.Keys(t), contracts.OrderService)
	for user, want := range map[uuid.UUID]int{ada.ID: http.StatusOK, bob.ID: http.StatusNotFound, uuid.Nil: http.StatusOK} {
		token, err := signer.TokenFor(contracts.UserService, user)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Call(t, "", "GET", "/users/"+ada.ID.String(), "", serviceauth.Header, token); got.Status != want {
			t.Errorf("on behalf of %s: %d, want %d", user, got.Status, want)
		}
	}
}

// All spellings of a password are one.
func TestPasswordsAreNormalized(t *testing.T) {
	b := setup(t)
	body := `{"email": "ada@example.com", "name": "Ada", "password": "Ångström ﬁn"}`
	apitest.Decode[contracts.User](t, b.Call(t, "", "POST", "/auth/register", body), http.StatusCreated)
	for _, spelling := range []string{"Ångström ﬁn", "A\u030angstro\u0308m fin", "\u212bngström fin"} {
		if got := b.tryLogin(t, "ada@example.com", spelling); got.Status != http.StatusOK {
			t.Errorf("%q: %d", spelling, got.Status)
		}
	}
}

func TestRegisterRefuses(t *testing.T) {
	b := setup(t)
	for password, message := range map[string]string{
		"short":                    "must have 8 to 128 characters",
		"ﬁﬁﬁ":                      "must have 8 to 128 characters",
		strings.Repeat("x", 129):   "must have 8 to 128 characters",
		strings.Repeat("x", 9999):  "must have 8 to 128 characters",
		"Password1":                "is one of the most common passwords",
		"ｐａｓｓｗｏｒｄ":                 "is one of the most common passwords",
		"Ada.Lovelace@example.com": "must not be the email address",
		"ada.lovelace":             "must not be the email address",
	} {
		body := fmt.Sprintf(`{"email": "ada.lovelace@example.com", "name": "Ada", "password": %q}`, password)
		got := b.Call(t, "", "POST", "/auth/register", body)
		p := apitest.Decode[apitest.Problem](t, got, http.StatusBadRequest)
		if len(p.Errors) != 1 || p.Errors[0].Field != "password" || p.Errors[0].Message != message {
			t.Errorf("%.20q: %+v, want %q", password, p, message)
		}
		if strings.Contains(got.Body, password) {
			t.Errorf("the response repeats the password: %s", got.Body)
		}
	}
	p := apitest.Decode[apitest.Problem](t, b.Call(t, "", "POST", "/auth/register", `{"email": "x", "name": "", "password": "x"}`), 400)
	if len(p.Errors) != 3 {
		t.Errorf("got %+v, want all three fields", p.Errors)
	}
	b.registerPerson(t, "ada@example.com")
	again := fmt.Sprintf(`{"email": "ada@example.com", "name": "Eve", "password": %q}`, goodPassword)
	isProblem(t, b.Call(t, "", "POST", "/auth/register", again), http.StatusConflict, "email_taken")
}

func TestRefresh(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	first, other := b.login(t, "ada@example.com"), b.login(t, "ada@example.com")
	second := apitest.Decode[session](t, b.send(t, "/auth/refresh", first.RefreshToken), http.StatusOK)
	if second.RefreshToken == first.RefreshToken {
		t.Error("the refresh token was not replaced")
	}
	// A second use ends the session, and only that one.
	isProblem(t, b.send(t, "/auth/refresh", first.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")
	isProblem(t, b.send(t, "/auth/refresh", second.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")
	other = apitest.Decode[session](t, b.send(t, "/auth/refresh", other.RefreshToken), http.StatusOK)

	for _, none := range []string{"x", other.AccessToken[:200], strings.Repeat("A", 43)} {
		isProblem(t, b.send(t, "/auth/refresh", none), http.StatusUnauthorized, "invalid_refresh_token")
	}
	if err := b.Data.Gorm.Exec("UPDATE refresh_tokens SET expires_at = now()").Error; err != nil {
		t.Fatal(err)
	}
	isProblem(t, b.send(t, "/auth/refresh", other.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")
}

// Of many uses at once at most one succeeds, and the session has ended afterwards.
func TestRefreshAtOnce(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	token := b.login(t, "ada@example.com").RefreshToken
	answers := make([]apitest.Answer, 8)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = b.send(t, "/auth/refresh", token) })
	}
	wg.Wait()
	succeeded := 0
	for _, a := range answers {
		if a.Status == http.StatusOK {
			succeeded++
		}
	}
	if n := b.count(t, "refresh_tokens"); succeeded != 1 || n != 0 {
		t.Errorf("%d uses succeeded and %d tokens are left, want 1 and 0", succeeded, n)
	}
}

func TestLogout(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	s := b.login(t, "ada@example.com")
	s = apitest.Decode[session](t, b.send(t, "/auth/refresh", s.RefreshToken), http.StatusOK)
	for range 2 {
		if got := b.send(t, "/auth/logout", s.RefreshToken); got.Status != http.StatusNoContent {
			t.Errorf("got %d %s", got.Status, got.Body)
		}
	}
	isProblem(t, b.send(t, "/auth/refresh", s.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")
	if n := b.count(t, "refresh_tokens"); n != 0 {
		t.Errorf("%d tokens are left", n)
	}
}

// With a user go the password and the sessions, in the same transaction.
func TestDeletedUsersCannotLogIn(t *testing.T) {
	b := setup(t)
	user := b.registerPerson(t, "ada@example.com")
	s := b.login(t, "ada@example.com")
	if got := b.CallAs(t, user.ID, "DELETE", "/users/"+user.ID.String(), ""); got.Status != http.StatusNoContent {
		t.Fatalf("got %d %s", got.Status, got.Body)
	}
	isProblem(t, b.tryLogin(t, "ada@example.com", goodPassword), http.StatusUnauthorized, "invalid_credentials")
	isProblem(t, b.send(t, "/auth/refresh", s.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")
	isProblem(t, b.CallAs(t, user.ID, "GET", "/users/"+user.ID.String(), ""), http.StatusNotFound, "user_not_found")
	if c, r := b.count(t, "credentials"), b.count(t, "refresh_tokens"); c+r != 0 {
		t.Errorf("%d credentials and %d tokens are left", c, r)
	}
}

func TestLoginLimits(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	wrong := func(email string) apitest.Answer { return b.tryLogin(t, email, "three other words") }
	for _, email := range []string{"ada@example.com", "nobody@example.com"} { // no difference between them
		for range 10 {
			isProblem(t, wrong(email), http.StatusUnauthorized, "invalid_credentials")
		}
		limited := wrong(email)
		isProblem(t, limited, http.StatusTooManyRequests, "too_many_attempts")
		if wait, err := strconv.Atoi(limited.Header.Get("Retry-After")); err != nil || wait < 14*60 || wait > 15*60 {
			t.Errorf("Retry-After %q, want up to 15 minutes", limited.Header.Get("Retry-After"))
		}
	}
	isProblem(t, b.tryLogin(t, "ada@example.com", goodPassword), http.StatusTooManyRequests, "too_many_attempts")

	b.windowsEnd(t)
	for range 9 {
		isProblem(t, wrong("ada@example.com"), http.StatusUnauthorized, "invalid_credentials")
	}
	b.login(t, "ada@example.com") // takes the failures back
	for range 10 {
		isProblem(t, wrong("ada@example.com"), http.StatusUnauthorized, "invalid_credentials")
	}
	isProblem(t, wrong("ada@example.com"), http.StatusTooManyRequests, "too_many_attempts")
}

// An address is limited over all accounts that it tries, and does not lock them once it is.
func TestAddressLimits(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	from := func(addr, path, body string) apitest.Answer {
		r := b.Request(t, "", "POST", path, body)
		r.RemoteAddr = addr
		w := httptest.NewRecorder()
		b.HTTP.ServeHTTP(w, r)
		return apitest.Answer{Status: w.Code, Body: w.Body.String()}
	}
	login := func(addr, email, password string) apitest.Answer {
		return from(addr, "/auth/login", fmt.Sprintf(`{"email": %q, "password": %q}`, email, password))
	}
	const addr, neighbour, stranger = "[2001:db8::1]:1", "[2001:db8::2]:2", "203.0.113.7:1"
	isProblem(t, login(addr, "eve@example.com", "three other words"), http.StatusUnauthorized, "invalid_credentials")
	b.exec(t, "UPDATE auth_attempts SET count = 100 WHERE subject = sha256('login address 2001:db8::/64')")
	for range 11 {
		isProblem(t, login(neighbour, "ada@example.com", goodPassword), http.StatusTooManyRequests, "too_many_attempts")
	}
	b.exec(t, "UPDATE auth_attempts SET count = 99 WHERE subject = sha256('login address 2001:db8::/64')")
	for range 3 { // logins that succeed do not count
		if got := login(stranger, "ada@example.com", goodPassword); got.Status != http.StatusOK {
			t.Errorf("from another address: %d %s", got.Status, got.Body)
		}
		if got := login(addr, "ada@example.com", goodPassword); got.Status != http.StatusOK {
			t.Errorf("below the limit: %d %s", got.Status, got.Body)
		}
	}

	register := func(name string) apitest.Answer {
		return from(stranger, "/auth/register", fmt.Sprintf(`{"email": "%s@example.com", "name": "B", "password": %q}`, name, goodPassword))
	}
	if got := register("bob"); got.Status != http.StatusCreated {
		t.Errorf("register: %d %s", got.Status, got.Body)
	}
	b.exec(t, "UPDATE auth_attempts SET count = 60 WHERE subject = sha256('registration address 203.0.113.7/32')")
	isProblem(t, register("bea"), http.StatusTooManyRequests, "too_many_attempts")
	b.windowsEnd(t)
	if got := register("bea"); got.Status != http.StatusCreated {
		t.Errorf("register after an hour: %d %s", got.Status, got.Body)
	}
}

// exec changes one row.
func (b bundle) exec(t testing.TB, statement string) {
	t.Helper()
	if result := b.Data.Gorm.Exec(statement); result.Error != nil || result.RowsAffected != 1 {
		t.Fatalf("%s: %d rows, %v", statement, result.RowsAffected, result.Error)
	}
}

// Passwords are hashed a few at a time; a flood of logins is refused, and fails in no other way.
func TestManyLoginsAtOnce(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			a := b.tryLogin(t, fmt.Sprintf("eve%d@example.com", i), goodPassword)
			switch a.Status {
			case http.StatusUnauthorized, http.StatusGatewayTimeout:
			case http.StatusServiceUnavailable:
				if a.Header.Get("Retry-After") == "" {
					t.Errorf("no Retry-After: %s", a.Body)
				}
			default:
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
	b.login(t, "ada@example.com")
}

// Sessions and attempts that have expired are removed, the others stay.
func TestExpiredSessionsArePurged(t *testing.T) {
	b := setup(t)
	b.registerPerson(t, "ada@example.com")
	old := b.login(t, "ada@example.com")
	if err := b.Data.Gorm.Exec("UPDATE refresh_tokens SET expires_at = now()").Error; err != nil {
		t.Fatal(err)
	}
	b.windowsEnd(t)
	fresh := b.login(t, "ada@example.com")
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	accounts := services.NewAccounts(b.DB, services.NewUsers(b.DB), contracts.UserService, key, b.Log)
	stop := testkit.Run(t, accounts.Run)
	testkit.Eventually(t, 10*time.Second, func() string {
		// The attempt of the second login has a window that has not ended.
		if tokens, attempts := b.count(t, "refresh_tokens"), b.count(t, "auth_attempts"); tokens != 1 || attempts != 1 {
			return fmt.Sprintf("%d tokens and %d attempts, want one each", tokens, attempts)
		}
		return ""
	})
	stop()
	isProblem(t, b.send(t, "/auth/refresh", old.RefreshToken), http.StatusUnauthorized, "invalid_refresh_token")
	apitest.Decode[session](t, b.send(t, "/auth/refresh", fresh.RefreshToken), http.StatusOK)
}

// windowsEnd lets the windows of all limits end, on the database's clock.
func (b bundle) windowsEnd(t testing.TB) {
	t.Helper()
	if err := b.Data.Gorm.Exec("UPDATE auth_attempts SET resets_at = now()").Error; err != nil {
		t.Fatal(err)
	}
}

func (b bundle) count(t testing.TB, table string) int64 {
	t.Helper()
	var n int64
	if err := b.Data.Gorm.Table(table).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}
