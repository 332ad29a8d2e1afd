package e2e_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
)

// person is somebody who is logged in.
type person struct {
	id, email, password   string
	access, refreshTokens string
}

type tokens struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
}

var noToken = client.Header("X-Service-Token", "")

// as sends a request of a person.
func (b *bundle) as(p *person, service, method, path string, body any) client.Response {
	b.Helper()
	return b.do(service, method, path, body, noToken, client.Header("Authorization", "Bearer "+p.access))
}

// auth sends a request without a token.
func (b *bundle) auth(path string, body any) client.Response {
	b.Helper()
	return b.do(environment.User, http.MethodPost, path, body, noToken)
}

func (b *bundle) logIn() *person {
	b.Helper()
	name := client.Unique("ada")
	p := &person{email: name + "@example.com", password: "three plain words"}
	body := map[string]string{"email": p.email, "name": name, "password": p.password}
	p.id = decode[client.User](b, b.auth("/auth/register", body), http.StatusCreated).ID
	delete(body, "name")
	got := decode[tokens](b, b.auth("/auth/login", body), http.StatusOK)
	p.access, p.refreshTokens = got.AccessToken, got.RefreshToken
	return p
}

func (b *bundle) wants(name string, a client.Response, status int) {
	b.Helper()
	if a.Status != status {
		b.Errorf("%s: status %d, want %d: %s", name, a.Status, status, a.Body)
	}
}

// People register, log in, order, see what is theirs and nothing else, log out and delete
// themselves.
func TestPeople(t *testing.T) {
	shared(t, func(b *bundle) {
		ada, bob := b.logIn(), b.logIn()
		order := newOrder(ada.id)
		delete(order, "userId") // it is hers
		placed := decode[client.Order](b, b.as(ada, environment.Order, http.MethodPost, "/orders", order), http.StatusCreated)
		if placed.UserID != ada.id {
			b.Errorf("the order is of %s, want %s", placed.UserID, ada.id)
		}
		eventually(b, soon, func() error {
			if a := b.as(ada, environment.Profile, http.MethodGet, "/profiles/"+ada.id, nil); a.Status != http.StatusOK {
				return fmt.Errorf("status %d, want 200: %s", a.Status, a.Body)
			}
			return nil
		})
		for service, path := range map[string]string{
			environment.User: "/users/" + ada.id, environment.Order: "/orders/" + placed.ID,
			environment.Profile: "/profiles/" + ada.id,
		} {
			b.wants("the owner, "+path, b.as(ada, service, http.MethodGet, path, nil), http.StatusOK)
			b.wants("another, "+path, b.as(bob, service, http.MethodGet, path, nil), http.StatusNotFound)
		}
		b.wants("an order for another", b.as(bob, environment.Order, http.MethodPost, "/orders", newOrder(ada.id)),
			http.StatusUnprocessableEntity)
		b.wants("all users", b.as(ada, environment.User, http.MethodGet, "/users", nil), http.StatusForbidden)
		b.wants("two identities", b.do(environment.User, http.MethodGet, "/users/"+ada.id, nil,
			client.Header("Authorization", "Bearer "+ada.access)), http.StatusBadRequest)

		refreshed := decode[tokens](b, b.auth("/auth/refresh", refresh(ada.refreshTokens)), http.StatusOK)
		b.wants("logout", b.auth("/auth/logout", refresh(refreshed.RefreshToken)), http.StatusNoContent)
		b.wants("refresh after logout", b.auth("/auth/refresh", refresh(refreshed.RefreshToken)), http.StatusUnauthorized)

		b.wants("delete", b.as(ada, environment.User, http.MethodDelete, "/users/"+ada.id, nil), http.StatusNoContent)
		b.wants("login after deletion", b.auth("/auth/login",
			map[string]string{"email": ada.email, "password": ada.password}), http.StatusUnauthorized)
		b.wants("the deleted user", b.as(ada, environment.User, http.MethodGet, "/users/"+ada.id, nil), http.StatusNotFound)
	})
}

func refresh(token string) map[string]string { return map[string]string{"refreshToken": token} }
