package routes_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/breaker"
	"github.com/go-troika/troika/pkg/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/serviceclient"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/layout"
	"github.com/go-troika/troika/pkg/tracing"
	"github.com/go-troika/troika/services/order-service/internal/controllers"
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

type problem struct {
	Code   string
	Errors []struct{ Field, Message string }
}

type bundle struct {
	*layout.Service
	db    *database.DB
	users *userService
	add   func(gin.IRouter, *serviceauth.Verifier)
}

// setup gives the whole service over a database of its own and a user-service
// that knows one user.
func setup(t *testing.T) bundle {
	t.Helper()
	t.Parallel()
	db := testkit.Postgres(t, contracts.OrderService, models.Schema)
	users := startUserService(t)
	orders := controllers.NewOrders(services.NewOrders(db.Gorm, services.NewUsers(users.client(t))))
	add := func(r gin.IRouter, v *serviceauth.Verifier) { routes.HTTP(r, v, orders) }
	return bundle{layout.Serve(t, contracts.OrderService, "../../openapi.yaml", add), db, users, add}
}

// place orders something for the user that user-service knows.
func (b bundle) place(t *testing.T, header ...string) order {
	t.Helper()
	return layout.Decode[order](t, b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1), header...), http.StatusCreated)
}

// body is a request for that many pieces of something.
func (b bundle) body(quantity int) string {
	return fmt.Sprintf(`{"userId": %q, "items": [{"sku": "ice-axe", "quantity": %d, "unitPrice": 1999}]}`, b.users.known, quantity)
}

func (b bundle) refuses(t *testing.T, status int, code, method, target, body string, header ...string) problem {
	t.Helper()
	p := layout.Decode[problem](t, b.Call(t, contracts.Gateway, method, target, body, header...), status)
	if p.Code != code {
		t.Errorf("%s %s %s: got code %s, want %s", method, target, body, p.Code, code)
	}
	return p
}

// loseAnswer sends POST /orders over a connection that dies before the answer.
func (b bundle) loseAnswer(t *testing.T, body string, header ...string) {
	t.Helper()
	server := httpserver.New(httpserver.Config{}, httpserver.Deps{
		Service: contracts.OrderService, Log: slog.New(slog.DiscardHandler),
		Tracer: &tracing.Tracer{}, Metrics: metrics.New(contracts.OrderService),
	})
	b.add(server.Router(), serviceauth.NewVerifier(layout.Keys(t), contracts.OrderService))
	token, err := serviceauth.NewSigner(layout.Keys(t), contracts.Gateway).Token(contracts.OrderService)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(serviceauth.Header, token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	server.ServeHTTP(deadConnection{http.Header{}}, r)
}

// deadConnection takes nothing.
type deadConnection struct{ header http.Header }

// Header implements http.ResponseWriter.
func (d deadConnection) Header() http.Header { return d.header }

// WriteHeader implements http.ResponseWriter.
func (deadConnection) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (deadConnection) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// published lists the names of the events so far, with their keys.
func (b bundle) published(t *testing.T) []string {
	t.Helper()
	names := []string{}
	for _, e := range testkit.Published(t, b.db) {
		names = append(names, e.Event+" "+e.Key)
	}
	return names
}

// rows counts the rows of a table.
func (b bundle) rows(t *testing.T, table string) int64 {
	t.Helper()
	var n int64
	if err := b.db.Gorm.Table(table).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// age makes a key older than it is.
func (b bundle) age(t *testing.T, key string, age time.Duration) {
	t.Helper()
	result := b.db.Gorm.Exec(`UPDATE idempotency_keys SET created_at = now() - make_interval(secs => ?) WHERE key = ?`, age.Seconds(), key)
	if result.Error != nil || result.RowsAffected != 1 {
		t.Fatalf("%d keys, %v", result.RowsAffected, result.Error)
	}
}

// userService speaks the part of user-service's contract that orders need.
type userService struct {
	known    uuid.UUID
	url      string
	broken   atomic.Bool // answers 500
	proxied  atomic.Bool // a proxy answers
	confused atomic.Bool // answers with another user
	asked    atomic.Int64
}

func startUserService(t *testing.T) *userService {
	t.Helper()
	u := &userService{known: uuid.MustParse("0199aa3e-7c00-7000-8000-000000000001")}
	verifier := serviceauth.NewVerifier(layout.Keys(t), contracts.UserService)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.asked.Add(1)
		switch caller, err := verifier.Verify(r.Header); {
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

func answer(w http.ResponseWriter, user contracts.User) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(user)
}

func (u *userService) client(t *testing.T) *serviceclient.Client {
	t.Helper()
	r, err := registry.New(registry.Config{URLs: map[string]string{contracts.UserService: u.url}}, registry.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return serviceclient.New(contracts.UserService,
		serviceclient.Config{Breaker: breaker.Config{Failures: 3, Cooldown: cooldown}},
		serviceclient.Deps{
			Service: contracts.OrderService, Registry: r, Transport: &http.Transport{DisableKeepAlives: true},
			Signer: serviceauth.NewSigner(layout.Keys(t), contracts.OrderService),
		})
}
