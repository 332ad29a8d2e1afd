package serviceauth_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/serviceauth"
)

var ada = uuid.MustParse("0199aa3e-7c00-7000-8000-000000000001")

func TestTokenForUser(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keys := oneKey(t, secret)
		signer, verifier := serviceauth.NewSigner(keys, caller), serviceauth.NewVerifier(keys, callee)
		signed, err := signer.TokenFor(callee, ada)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time from the cache
			if service, user, err := verifier.Identify(header(signed)); service != caller || user != ada || err != nil {
				t.Errorf("got %s for %s, %v", service, user, err)
			}
		}
		if _, user, err := verifier.Identify(header(token(t, signer, callee))); user != uuid.Nil || err != nil {
			t.Errorf("the service's own token is for %s, %v", user, err)
		}
		pass(4*time.Minute - time.Second)
		if again, err := signer.TokenFor(callee, ada); again != signed || err != nil {
			t.Errorf("renewed before four minutes, %v", err)
		}
		pass(time.Second)
		if again, _ := signer.TokenFor(callee, ada); again == signed {
			t.Error("not renewed after four minutes")
		}
		if other, _ := signer.TokenFor(callee, uuid.New()); other == signed {
			t.Error("one token for two people")
		}
	})
}

func TestVerifyRefusesActors(t *testing.T) {
	t.Parallel()
	verifier := serviceauth.NewVerifier(oneKey(t, secret), callee)
	act := func(sub, actor any) string {
		return signWith(t, jwt.SigningMethodHS256, []byte(secret), nil, jwt.MapClaims{"sub": sub, "act": actor})
	}
	self := map[string]any{"sub": caller}
	if _, user, err := verifier.Identify(header(act(ada.String(), self))); user != ada || err != nil {
		t.Errorf("the claims of the forgeries: %s, %v", user, err)
	}
	for name, token := range map[string]string{
		"no act":          act(ada.String(), nil),
		"no sub":          act(nil, self),
		"sub is no id":    act("ada", self),
		"sub is nil":      act(uuid.Nil.String(), self),
		"sub in braces":   act("{"+ada.String()+"}", self),
		"another actor":   act(ada.String(), map[string]any{"sub": "gateway"}),
		"no actor":        act(ada.String(), map[string]any{}),
		"actor as text":   act(ada.String(), caller),
		"actor as a list": act(ada.String(), []any{self}),
	} {
		if _, user, err := verifier.Identify(header(token)); err == nil {
			t.Errorf("%s: accepted for %s", name, user)
		}
	}
}
