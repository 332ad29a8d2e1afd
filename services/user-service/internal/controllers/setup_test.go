package controllers_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/contracts/contractstest"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
	"github.com/go-troika/troika/services/user-service/internal/config"
	"github.com/go-troika/troika/services/user-service/internal/models"
	"github.com/go-troika/troika/services/user-service/internal/routes"
)

type bundle struct{ *apitest.Service }

func setup(t *testing.T) bundle {
	t.Helper()
	t.Parallel()
	app := chassis.App[config.Config]{Defaults: config.Defaults, Schema: models.Schema, Wire: routes.Wire}
	s := apitest.Start(t, app, "../../openapi.yaml", "USER_TOKEN_KEY="+apitest.UserKey(t))
	t.Cleanup(func() { contractstest.Check(t, testkit.Published(t, s.Data)...) })
	return bundle{s}
}

// register adds a user through the API.
func (b bundle) register(t testing.TB, email, name string) contracts.User {
	t.Helper()
	body := fmt.Sprintf(`{"email": %q, "name": %q}`, email, name)
	return apitest.Decode[contracts.User](t, b.Call(t, contracts.Gateway, "POST", "/users", body), http.StatusCreated)
}
