package routes_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/layout"
	"github.com/go-troika/troika/services/user-service/internal/controllers"
	"github.com/go-troika/troika/services/user-service/internal/models"
	"github.com/go-troika/troika/services/user-service/internal/routes"
	"github.com/go-troika/troika/services/user-service/internal/services"
)

type bundle struct {
	*layout.Service
	db *database.DB
}

// setup gives the whole service over a database of its own.
func setup(t *testing.T) bundle {
	t.Helper()
	t.Parallel()
	db := testkit.Postgres(t, contracts.UserService, models.Schema)
	users := controllers.NewUsers(services.NewUsers(db.Gorm))
	add := func(r gin.IRouter, v *serviceauth.Verifier) { routes.HTTP(r, v, users) }
	return bundle{layout.Serve(t, contracts.UserService, "../../openapi.yaml", add), db}
}

// register adds a user through the API.
func (b bundle) register(t *testing.T, email, name string) contracts.User {
	t.Helper()
	body := fmt.Sprintf(`{"email": %q, "name": %q}`, email, name)
	return layout.Decode[contracts.User](t, b.Call(t, contracts.Gateway, "POST", "/users", body), http.StatusCreated)
}

// published lists the names of the events so far, with their keys.
func (b bundle) published(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, e := range testkit.Published(t, b.db) {
		names = append(names, e.Event+" "+e.Key)
	}
	return names
}

type problem struct {
	Code   string `json:"code"`
	Errors []struct{ Field, Message string }
}

func (b bundle) refuses(t *testing.T, status int, code, method, target, body string) problem {
	t.Helper()
	p := layout.Decode[problem](t, b.Call(t, contracts.Gateway, method, target, body), status)
	if p.Code != code {
		t.Errorf("%s %s %s: got code %s, want %s", method, target, body, p.Code, code)
	}
	return p
}
