package controllers_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/contracts/contractstest"
	"github.com/go-troika/troika/pkg/chassis"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
	"github.com/go-troika/troika/pkg/userauth"
	"github.com/go-troika/troika/services/order-service/internal/config"
	"github.com/go-troika/troika/services/order-service/internal/models"
	"github.com/go-troika/troika/services/order-service/internal/routes"
	"github.com/go-troika/troika/services/order-service/internal/services"
)

const cooldown = 300 * time.Millisecond

// order is an order as the API shows it.
type order struct {
	ID, UserID           uuid.UUID
	Status, Currency     string
	Items                []item
	Total                int64
	CreatedAt, UpdatedAt time.Time
}

type item struct {
	SKU                 string
	Quantity, UnitPrice int64
}

type bundle struct {
	*apitest.Service
	users  *userService
	orders *services.Orders // as the consumer calls them
}

// setup starts the service with a fake user-service that has one user.
func setup(t *testing.T) bundle {
	t.Helper()
	t.Parallel()
	users := startUserService(t)
	app := chassis.App[config.Config]{Defaults: config.Defaults, Schema: models.Schema, Wire: routes.Wire}
	s := apitest.Start(t, app, "../../openapi.yaml", "USER_SERVICE_URL="+users.url, "BREAKER_COOLDOWN="+cooldown.String())
	t.Cleanup(func() { contractstest.Check(t, testkit.Published(t, s.Data)...) })
	return bundle{s, users, services.NewOrders(s.DB, s.Client(contracts.UserService, serviceclient.Config{}))}
}

// place places an order for the user of the fake user-service.
func (b bundle) place(t testing.TB, header ...string) order {
	t.Helper()
	return apitest.Decode[order](t, b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1), header...), http.StatusCreated)
}

// body returns a request for the given quantity.
func (b bundle) body(quantity int) string {
	return fmt.Sprintf(`{"userId": %q, "items": [{"sku": "ice-axe", "quantity": %d, "unitPrice": 1999}]}`, b.users.known, quantity)
}

// loseAnswer sends POST /orders over a connection that closes before the response.
func (b bundle) loseAnswer(t *testing.T, body string, header ...string) {
	t.Helper()
	r := b.Request(t, contracts.Gateway, http.MethodPost, "/orders", body, header...)
	b.HTTP.ServeHTTP(deadConnection{http.Header{}}, r)
}

// deadConnection fails every write.
type deadConnection struct{ header http.Header }

// Header implements http.ResponseWriter.
func (d deadConnection) Header() http.Header { return d.header }

// WriteHeader implements http.ResponseWriter.
func (deadConnection) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (deadConnection) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// rows counts the rows of a table.
func (b bundle) rows(t *testing.T, table string) int64 {
	t.Helper()
	var n int64
	if err := b.Data.Gorm.Table(table).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// age sets the time of a key back.
func (b bundle) age(t *testing.T, key string, age time.Duration) {
	t.Helper()
	result := b.Data.Gorm.Exec(`UPDATE idempotency_keys SET created_at = now() - make_interval(secs => ?) WHERE key = ?`, age.Seconds(), key)
	if result.Error != nil || result.RowsAffected != 1 {
		t.Fatalf("%d keys, %v", result.RowsAffected, result.Error)
	}
}

// userService is a fake user-service with the route that order-service calls.
type userService struct {
	known    uuid.UUID
	url      string
	broken   atomic.Bool // returns 500
	proxied  atomic.Bool // a proxy responds
	confused atomic.Bool // returns another user
	asked    atomic.Int64
	// onBehalfOf is the user of the last request's token.
	onBehalfOf atomic.Value
}

func startUserService(t *testing.T) *userService {
	t.Helper()
	u := &userService{known: uuid.MustParse("0199aa3e-7c00-7000-8000-000000000001")}
	verifier := serviceauth.NewVerifier(apitest.Keys(t), contracts.UserService)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == userauth.JWKSPath {
			answer(w, apitest.UserKeys())
			return
		}
		u.asked.Add(1)
		caller, user, err := verifier.Identify(r.Header)
		u.onBehalfOf.Store(user)
		switch {
		case err != nil || caller != contracts.OrderService:
			w.WriteHeader(http.StatusUnauthorized)
		case u.broken.Load():
			w.WriteHeader(http.StatusInternalServerError)
		case u.proxied.Load():
			http.Error(w, "no such backend", http.StatusNotFound)
		case r.URL.Path != "/users/"+u.known.String():
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"user_not_found"}`)
		case u.confused.Load():
			answer(w, contracts.User{ID: uuid.New()})
		default:
			answer(w, contracts.User{ID: u.known})
		}
	}))
	t.Cleanup(server.Close)
	u.url = server.URL
	return u
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
