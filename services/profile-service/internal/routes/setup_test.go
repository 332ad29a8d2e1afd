package routes_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/layout"
	"github.com/go-troika/troika/services/profile-service/internal/controllers"
	"github.com/go-troika/troika/services/profile-service/internal/models"
	"github.com/go-troika/troika/services/profile-service/internal/routes"
	"github.com/go-troika/troika/services/profile-service/internal/services"
)

// profile is a profile as the API shows it.
type profile struct {
	UserID                      uuid.UUID
	DisplayName, Bio, AvatarURL string
	CompletedOrders             int
	Spent                       []spent
	CreatedAt, UpdatedAt        time.Time
}

type spent struct {
	Currency      string
	Orders, Total int64
}

type problem struct {
	Code   string
	Errors []struct{ Field, Message string }
}

type bundle struct {
	*layout.Service
	db       *database.DB
	profiles *services.Profiles
}

// setup gives the whole service over a database of its own.
func setup(t *testing.T) bundle {
	t.Helper()
	t.Parallel()
	db := testkit.Postgres(t, contracts.ProfileService, models.Schema)
	profiles := services.NewProfiles(db.Gorm)
	add := func(r gin.IRouter, v *serviceauth.Verifier) { routes.HTTP(r, v, controllers.NewProfiles(profiles)) }
	return bundle{layout.Serve(t, contracts.ProfileService, "../../openapi.yaml", add), db, profiles}
}

// deliver calls a handler as the consumer does.
func deliver[T any](t *testing.T, b bundle, handle func(context.Context, *gorm.DB, T) error, payload T) {
	t.Helper()
	err := b.db.Gorm.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
		return handle(t.Context(), tx, payload)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// join makes a user known to the service.
func (b bundle) join(t *testing.T, name string) contracts.UserChange {
	t.Helper()
	user := contracts.UserChange{UserID: newID(t), Email: "ada@example.com", Name: name, Revision: 1}
	deliver(t, b, b.profiles.Follow, user)
	return user
}

func (b bundle) show(t *testing.T, userID uuid.UUID) profile {
	t.Helper()
	return layout.Decode[profile](t, b.Call(t, contracts.Gateway, "GET", "/profiles/"+userID.String(), ""), http.StatusOK)
}

func (b bundle) refuses(t *testing.T, status int, code, method, target, body string) problem {
	t.Helper()
	p := layout.Decode[problem](t, b.Call(t, contracts.Gateway, method, target, body), status)
	if p.Code != code {
		t.Errorf("%s %s %s: got code %s, want %s", method, target, body, p.Code, code)
	}
	return p
}

func newID(t *testing.T) uuid.UUID {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newOrder(t *testing.T, userID uuid.UUID, currency string, total int64) contracts.OrderChange {
	t.Helper()
	return contracts.OrderChange{OrderID: newID(t), UserID: userID, Currency: currency, Total: total, At: database.Now()}
}
