package httpserver_test

import (
	"crypto/ed25519"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/jws"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/userauth"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32)))
	public := private.Public().(ed25519.PublicKey)
	b.VerifyUsers(userauth.NewVerifier("user-service", userauth.NewKeySet(public)))
	user := uuid.New()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": "user-service", "aud": userauth.Audience, "sub": user.String(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	})
	token.Header["typ"], token.Header["kid"] = userauth.Type, jws.Thumbprint(public)
	signed, err := token.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	show := httpserver.Handle(func(c *gin.Context) error {
		id, _ := userauth.User(c.Request.Context())
		return httpserver.JSON(c, http.StatusOK, []string{id.String(), serviceauth.Caller(c.Request.Context())})
	})
	b.Router().GET("/both", httpserver.Callers("gateway").OrUser(), show)
	b.Router().GET("/service", httpserver.Callers("gateway"), show)
	b.Router().GET("/public", httpserver.Public(), show)
	person, gateway := []string{userauth.Header, "Bearer " + signed}, []string{serviceauth.Header, b.token(t, "gateway")}
	two := append(person, gateway...)

	if w := b.do(http.MethodGet, "/both", "", person...); w.Code != http.StatusOK || w.Body.String() != `["`+user.String()+`",""]` {
		t.Errorf("a person: %d %s", w.Code, w.Body)
	}
	if !strings.Contains(b.log.String(), `"caller":"(user)"`) || strings.Contains(b.log.String(), signed) {
		t.Errorf("log %s", b.log)
	}
	nobody := `["` + uuid.Nil.String() + `",`
	if w := b.do(http.MethodGet, "/both", "", gateway...); w.Code != http.StatusOK || w.Body.String() != nobody+`"gateway"]` {
		t.Errorf("a service: %d %s", w.Code, w.Body)
	}
	if w := b.do(http.MethodGet, "/public", "", two...); w.Code != http.StatusOK || w.Body.String() != nobody+`""]` {
		t.Errorf("a public route: %d %s, want tokens ignored", w.Code, w.Body)
	}
	onBehalf, err := serviceauth.NewSigner(b.keys, "gateway").TokenFor("user-service", user)
	if err != nil {
		t.Fatal(err)
	}
	w := b.do(http.MethodGet, "/both", "", serviceauth.Header, onBehalf)
	if w.Code != http.StatusOK || w.Body.String() != `["`+user.String()+`","gateway"]` {
		t.Errorf("a service on behalf of a person: %d %s", w.Code, w.Body)
	}
	problem(t, b.do(http.MethodGet, "/service", "", serviceauth.Header, onBehalf), http.StatusForbidden, "caller_not_allowed")
	problem(t, b.do(http.MethodGet, "/both", "", two...), http.StatusBadRequest, "two_identities")
	problem(t, b.do(http.MethodGet, "/service", "", person...), http.StatusForbidden, "caller_not_allowed")
	for _, line := range []string{signed, "Basic YTpi", "Bearer " + b.token(t, "gateway")} {
		problem(t, b.do(http.MethodGet, "/both", "", userauth.Header, line), http.StatusUnauthorized, "invalid_access_token")
	}
	problem(t, b.do(http.MethodGet, "/both", "", serviceauth.Header, signed), http.StatusUnauthorized, "invalid_service_token")
	for path, want := range map[string]string{"/both": "ServiceToken, Bearer", "/service": "ServiceToken"} {
		w := b.do(http.MethodGet, path, "")
		problem(t, w, http.StatusUnauthorized, "service_token_required")
		if got := w.Header().Get("WWW-Authenticate"); got != want {
			t.Errorf("%s: WWW-Authenticate %q, want %q", path, got, want)
		}
	}
}
