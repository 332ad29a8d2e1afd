package apitest

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/jws"
	"github.com/go-troika/troika/pkg/userauth"
)

// UserIssuer is the service that signs the access tokens of people.
const UserIssuer = "user-service"

func userKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte(strings.Repeat("t", ed25519.SeedSize)))
}

// UserKey returns the private key of access tokens in tests, as USER_TOKEN_KEY holds it.
func UserKey(t testing.TB) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(userKey())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// UserKeys returns the public key as UserIssuer publishes it.
func UserKeys() userauth.JWKS {
	return userauth.NewKeySet(userKey().Public().(ed25519.PublicKey)).JWKS()
}

// ServeUserKeys serves UserKeys for the test, at the URL that it returns.
func ServeUserKeys(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+userauth.JWKSPath, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(UserKeys())
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// Person returns the value of Authorization with an access token of the user.
func Person(t testing.TB, user uuid.UUID) string {
	t.Helper()
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": UserIssuer, "aud": userauth.Audience, "sub": user.String(),
		"iat": now.Unix(), "exp": now.Add(userauth.Life).Unix(),
	})
	token.Header["typ"] = userauth.Type
	token.Header["kid"] = jws.Thumbprint(userKey().Public().(ed25519.PublicKey))
	signed, err := token.SignedString(userKey())
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + signed
}

// CallAs is [Service.Call] by a person.
func (s *Service) CallAs(t testing.TB, user uuid.UUID, method, target, body string, header ...string) Answer {
	t.Helper()
	return s.Call(t, "", method, target, body, append(header, userauth.Header, Person(t, user))...)
}
