package controllers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

func TestCreate(t *testing.T) {
	b := setup(t)

	created := b.Call(t, contracts.Gateway, "POST", "/users", `{"email": " Ada@Example.COM ", "name": " Ada Lovelace "}`)
	user := apitest.Decode[contracts.User](t, created, http.StatusCreated)

	if user.Email != "ada@example.com" || user.Name != "Ada Lovelace" {
		t.Errorf("got %q, %q, want them trimmed and the email in lower case", user.Email, user.Name)
	}
	if user.ID.Version() != 7 || user.CreatedAt != user.UpdatedAt {
		t.Errorf("got %+v, want a UUIDv7 and equal times", user)
	}
	if want := "/users/" + user.ID.String(); created.Header.Get("Location") != want {
		t.Errorf("got Location %q, want %q", created.Header.Get("Location"), want)
	}
	shown := b.Call(t, contracts.Gateway, "GET", "/users/"+user.ID.String(), "")
	if diff := cmp.Diff(created.Body, shown.Body); diff != "" {
		t.Errorf("created and shown differ:\n%s", diff)
	}
	published := testkit.Published(t, b.Data)
	if len(published) != 1 {
		t.Fatalf("got %v, want one event", published)
	}
	want := fmt.Sprintf(`{"userId":%q,"email":"ada@example.com","name":"Ada Lovelace","revision":1}`, user.ID)
	if e := published[0]; e.Event != "user.created" || e.Service != contracts.UserService || string(e.Data) != want {
		t.Errorf("got %s of %s with %s, want user.created with %s", e.Event, e.Service, e.Data, want)
	}
}

func TestCreateRefuses(t *testing.T) {
	b := setup(t)
	b.register(t, "ada@example.com", "Ada")
	long := strings.Repeat("x", 201)

	b.Refuses(t, http.StatusConflict, "email_taken", "POST", "/users", `{"email": "ADA@example.com", "name": "Other"}`)
	for name, tc := range map[string]struct {
		body   string
		fields []string
	}{
		"nothing":       {`{}`, []string{"email", "name"}},
		"no email":      {`{"email": "ada", "name": "Ada"}`, []string{"email"}},
		"blank":         {`{"email": " ", "name": " \t"}`, []string{"email", "name"}},
		"long name":     {`{"email": "b@example.com", "name": "` + long + `"}`, []string{"name"}},
		"long email":    {`{"email": "` + long + long + `@example.com", "name": "B"}`, []string{"email"}},
		"wrong types":   {`{"email": 1, "name": ["B"]}`, []string{"email", "name"}},
		"unknown field": {`{"email": "b@example.com", "name": "B", "admin": true}`, []string{"admin"}},
		"wrong case":    {`{"email": "b@example.com", "Name": "B"}`, []string{"Name", "name"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := b.Refuses(t, http.StatusBadRequest, "validation_failed", "POST", "/users", tc.body)
			var fields []string
			for _, e := range p.Errors {
				fields = append(fields, e.Field)
			}
			if diff := cmp.Diff(tc.fields, fields); diff != "" {
				t.Errorf("invalid fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOneOfManyGetsTheEmail(t *testing.T) {
	b := setup(t)
	const racers = 8
	statuses := make([]int, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			statuses[i] = b.Call(t, contracts.Gateway, "POST", "/users", `{"email": "ada@example.com", "name": "Ada"}`).Status
		})
	}
	wg.Wait()

	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusCreated: 1, http.StatusConflict: racers - 1}, count); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if events := b.Published(t); len(events) != 1 {
		t.Errorf("got %v, want one event", events)
	}
}

func TestUpdate(t *testing.T) {
	b := setup(t)
	user := b.register(t, "ada@example.com", "Ada")
	target := "/users/" + user.ID.String()

	updated := apitest.Decode[contracts.User](t, b.Call(t, contracts.Gateway, "PATCH", target, `{"name": " Ada King "}`), http.StatusOK)
	if updated.Name != "Ada King" || updated.Email != user.Email || !updated.UpdatedAt.After(user.UpdatedAt) {
		t.Errorf("got %+v, want the new name, the old email and a later time", updated)
	}
	same := apitest.Decode[contracts.User](t,
		b.Call(t, contracts.Gateway, "PATCH", target, `{"name": "Ada King", "email": "ADA@example.com"}`), http.StatusOK)
	if diff := cmp.Diff(updated, same); diff != "" {
		t.Errorf("equal values changed the user:\n%s", diff)
	}
	moved := apitest.Decode[contracts.User](t, b.Call(t, contracts.Gateway, "PATCH", target, `{"email": "king@example.com"}`), http.StatusOK)
	if moved.Email != "king@example.com" {
		t.Errorf("got %+v, want the new email", moved)
	}

	key := " " + user.ID.String()
	want := []string{"user.created" + key, "user.updated" + key, "user.updated" + key}
	if diff := cmp.Diff(want, b.Published(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	b.register(t, "ada@example.com", "The old email is free")
}

func TestConcurrentUpdatesKeepTheirOrder(t *testing.T) {
	b := setup(t)
	target := "/users/" + b.register(t, "ada@example.com", "Ada").ID.String()
	const updates = 8
	var wg sync.WaitGroup
	for i := range updates {
		wg.Go(func() { b.Call(t, contracts.Gateway, "PATCH", target, fmt.Sprintf(`{"name": "Ada %d"}`, i)) })
	}
	wg.Wait()

	var last contracts.UserChange
	for i, e := range testkit.Published(t, b.Data) {
		if err := json.Unmarshal(e.Data, &last); err != nil {
			t.Fatal(err)
		}
		if last.Revision != int64(i+1) {
			t.Errorf("event %d tells of revision %d", i+1, last.Revision)
		}
	}
	shown := apitest.Decode[contracts.User](t, b.Call(t, contracts.Gateway, "GET", target, ""), http.StatusOK)
	if last.Revision != updates+1 || last.Name != shown.Name {
		t.Errorf("the last event tells of %+v, the user is %+v", last, shown)
	}
}

func TestUpdateRefuses(t *testing.T) {
	b := setup(t)
	ada, bob := b.register(t, "ada@example.com", "Ada"), b.register(t, "bob@example.com", "Bob")
	target := "/users/" + bob.ID.String()

	b.Refuses(t, http.StatusConflict, "email_taken", "PATCH", target, `{"email": "`+ada.Email+`"}`)
	b.Refuses(t, http.StatusBadRequest, "nothing_to_change", "PATCH", target, `{}`)
	b.Refuses(t, http.StatusBadRequest, "validation_failed", "PATCH", target, `{"name": ""}`)
	b.Refuses(t, http.StatusBadRequest, "validation_failed", "PATCH", target, `{"email": "bob"}`)
	if got := b.Call(t, contracts.Gateway, "PATCH", target, `{"name": "Robert", "email": null}`); got.Status != http.StatusBadRequest {
		t.Errorf("null was taken for nothing: got %d %s", got.Status, got.Body)
	}
	b.Refuses(t, http.StatusNotFound, "user_not_found", "PATCH", "/users/"+uuid.NewString(), `{"name": "Bob"}`)
	b.Refuses(t, http.StatusBadRequest, "invalid_id", "PATCH", "/users/bob", `{"name": "Bob"}`)
	if events := b.Published(t); len(events) != 2 {
		t.Errorf("got %v, want the two registrations only", events)
	}
}

func TestDelete(t *testing.T) {
	b := setup(t)
	user := b.register(t, "ada@example.com", "Ada")
	target := "/users/" + user.ID.String()

	for range 2 {
		if got := b.Call(t, contracts.Gateway, "DELETE", target, ""); got.Status != http.StatusNoContent || got.Body != "" {
			t.Errorf("got %d %q, want 204 each time", got.Status, got.Body)
		}
	}
	b.Refuses(t, http.StatusNotFound, "user_not_found", "GET", target, "")
	b.Refuses(t, http.StatusNotFound, "user_not_found", "PATCH", target, `{"name": "Ada"}`)
	b.Refuses(t, http.StatusNotFound, "user_not_found", "DELETE", "/users/"+uuid.NewString(), "")

	var row struct {
		Email, Name string
		Gone        bool
	}
	query := "SELECT email, name, deleted_at IS NOT NULL AS gone FROM users WHERE id = ?"
	if err := b.Data.Gorm.Raw(query, user.ID).Scan(&row).Error; err != nil {
		t.Fatal(err)
	}
	if row.Email != "" || row.Name != "" || !row.Gone {
		t.Errorf("got %+v, want a row that says only that the user is gone", row)
	}
	key := " " + user.ID.String()
	if diff := cmp.Diff([]string{"user.created" + key, "user.deleted" + key}, b.Published(t)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	b.register(t, "ada@example.com", "The email is free")
}

func TestList(t *testing.T) {
	b := setup(t)
	var want []contracts.User
	for i := range 5 {
		want = append(want, b.register(t, fmt.Sprintf("user%d@example.com", i), "User"))
	}
	gone := b.register(t, "gone@example.com", "Gone")
	b.Call(t, contracts.Gateway, "DELETE", "/users/"+gone.ID.String(), "")

	var got []contracts.User
	for target := "/users?limit=2"; target != ""; {
		page := apitest.Decode[httpserver.List[contracts.User]](t, b.Call(t, contracts.Gateway, "GET", target, ""), http.StatusOK)
		got = append(got, page.Items...)
		target = ""
		if page.NextCursor != "" {
			target = "/users?limit=2&cursor=" + page.NextCursor
		}
		if len(got) == 2 { // a user added meanwhile is listed once
			want = append(want, b.register(t, "late@example.com", "Late"))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("users over all pages (-want +got):\n%s", diff)
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=x", "cursor=!", "cursor=bm8tdXVpZA", "page=2"} {
		b.Refuses(t, http.StatusBadRequest, "invalid_query", "GET", "/users?"+query, "")
	}
}

func TestCallers(t *testing.T) {
	b := setup(t)
	user := b.register(t, "ada@example.com", "Ada")
	one := "/users/" + user.ID.String()
	for _, tc := range []struct {
		method, target, body string
		orders               int // the status for order-service
	}{
		{"GET", one, "", http.StatusOK},
		{"POST", "/users", `{"email": "b@example.com", "name": "B"}`, http.StatusForbidden},
		{"GET", "/users", "", http.StatusForbidden},
		{"PATCH", one, `{"name": "B"}`, http.StatusForbidden},
		{"DELETE", one, "", http.StatusForbidden},
	} {
		for caller, want := range map[string]int{
			"": http.StatusUnauthorized, contracts.ProfileService: http.StatusForbidden, contracts.OrderService: tc.orders,
		} {
			if got := b.Call(t, caller, tc.method, tc.target, tc.body); got.Status != want {
				t.Errorf("%s %s by %q: got %d, want %d", tc.method, tc.target, caller, got.Status, want)
			}
		}
	}
}

func TestRoutesAreDocumented(t *testing.T) {
	b := setup(t)
	b.Documented(t)
}

func TestShowNamesTheTypeOfAPatch(t *testing.T) {
	b := setup(t)
	user := b.register(t, "ada@example.com", "Ada")
	got := b.Call(t, contracts.Gateway, "GET", "/users/"+user.ID.String(), "")
	if got.Status != http.StatusOK || got.Header.Get("Accept-Patch") != "application/json" {
		t.Errorf("got %d, Accept-Patch %q", got.Status, got.Header.Get("Accept-Patch"))
	}
}
