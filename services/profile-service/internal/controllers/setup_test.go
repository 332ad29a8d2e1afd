package controllers_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/contracts/contractstest"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit/apitest"
	"github.com/go-troika/troika/services/profile-service/internal/config"
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

type bundle struct {
	*apitest.Service
	profiles *services.Profiles // as the consumer calls them
}

func setup(t *testing.T) bundle {
	t.Helper()
	t.Parallel()
	app := chassis.App[config.Config]{Defaults: config.Defaults, Schema: models.Schema, Wire: routes.Wire}
	s := apitest.Start(t, app, "../../openapi.yaml", "USER_SERVICE_URL="+apitest.ServeUserKeys(t))
	return bundle{s, services.NewProfiles(s.DB)}
}

// deliver handles an event as the consumer does.
func deliver[T any](t testing.TB, b bundle, of events.Type[T], payload T) {
	t.Helper()
	data, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	event := events.Envelope{Event: of.Name(), Version: of.Version(), Data: data}
	contractstest.Check(t, event)
	subscription := routes.Events(b.profiles).Find(of.Source(), of.Name())
	err = b.Data.Gorm.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
		return subscription.Handle(t.Context(), tx, event)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// join delivers the event of a new user.
func (b bundle) join(t testing.TB, name string) contracts.UserChange {
	t.Helper()
	user := contracts.UserChange{UserID: newID(t), Email: "ada@example.com", Name: name, Revision: 1}
	deliver(t, b, contracts.UserCreated, user)
	return user
}

func (b bundle) show(t *testing.T, userID uuid.UUID) profile {
	t.Helper()
	return apitest.Decode[profile](t, b.Call(t, contracts.Gateway, "GET", "/profiles/"+userID.String(), ""), http.StatusOK)
}

func newID(t testing.TB) uuid.UUID {
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
