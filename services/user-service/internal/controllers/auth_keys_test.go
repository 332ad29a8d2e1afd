package controllers_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit/apitest"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/user-service/internal/config"
	"github.com/go-troika/troika/services/user-service/internal/models"
	"github.com/go-troika/troika/services/user-service/internal/routes"
)

// The steps of a change of key. During each, some instances are at the earlier step and some
// at the later, and all accept each other's tokens.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	first, second := string(serviceauth.NewPrivateKey()), string(serviceauth.NewPrivateKey())
	var steps []bundle
	var tokens []string
	for _, keys := range []string{first, first + second, second + first, second} {
		app := chassis.App[config.Config]{Defaults: config.Defaults, Schema: models.Schema, Wire: routes.Wire}
		b := bundle{apitest.Start(t, app, "../../openapi.yaml", "USER_TOKEN_KEY="+keys)}
		b.registerPerson(t, "ada@example.com")
		steps, tokens = append(steps, b), append(tokens, b.login(t, "ada@example.com").AccessToken)
	}
	accepts := func(step, token int) bool { // each step has another database, without the user
		a := steps[step].Call(t, "", "GET", "/users/"+uuid.NewString(), "", userauth.Header, "Bearer "+tokens[token])
		return a.Status == http.StatusNotFound
	}
	for i := range len(steps) - 1 {
		if !accepts(i, i) || !accepts(i, i+1) || !accepts(i+1, i) {
			t.Errorf("step %d and %d do not accept each other's tokens", i, i+1)
		}
	}
	if accepts(3, 0) {
		t.Error("the old key outlives the rotation")
	}
	published := apitest.Decode[userauth.JWKS](t, steps[1].Call(t, "", "GET", userauth.JWKSPath, ""), http.StatusOK)
	if len(published.Keys) != 2 {
		t.Errorf("%d keys are published, want both", len(published.Keys))
	}
}
