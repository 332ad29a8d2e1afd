package userauth_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/jws"
	"github.com/go-troika/troika/pkg/userauth"
)

func Example() {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := private.Public().(ed25519.PublicKey)

	// user-service signs a token after a login.
	ada := uuid.MustParse("0199aa3e-7c00-7000-8000-000000000001")
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": "user-service", "aud": userauth.Audience, "sub": ada.String(),
		"iat": time.Now().Unix(), "exp": time.Now().Add(userauth.Life).Unix(),
	})
	token.Header["typ"], token.Header["kid"] = userauth.Type, jws.Thumbprint(public)
	signed, err := token.SignedString(private)
	if err != nil {
		fmt.Println(err)
		return
	}

	// order-service gets it with a request.
	h := http.Header{}
	h.Set(userauth.Header, "Bearer "+signed)
	user, err := userauth.NewVerifier("user-service", userauth.NewKeySet(public)).Verify(context.Background(), h)
	fmt.Println(user, err)
	// Output: 0199aa3e-7c00-7000-8000-000000000001 <nil>
}
