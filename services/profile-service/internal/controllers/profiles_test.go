package controllers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

func TestUpdate(t *testing.T) {
	b := setup(t)
	user := b.join(t, "Ada Lovelace")
	deliver(t, b, contracts.OrderCompleted, newOrder(t, user.UserID, "USD", 5))
	target := "/profiles/" + user.UserID.String()
	before := b.show(t, user.UserID)

	answer := b.Call(t, contracts.Gateway, "PATCH", target, `{"bio": "Wrote the first program.", "avatarUrl": "https://images.example.com/ada.png"}`)
	updated := apitest.Decode[profile](t, answer, http.StatusOK)
	want := before
	want.Bio, want.AvatarURL = "Wrote the first program.", "https://images.example.com/ada.png"
	want.UpdatedAt = updated.UpdatedAt
	if diff := cmp.Diff(want, updated); diff != "" || !updated.UpdatedAt.After(before.UpdatedAt) {
		t.Errorf("profile, updated %v (-want +got):\n%s", updated.UpdatedAt, diff)
	}

	same := b.Call(t, contracts.Gateway, "PATCH", target, `{"bio": "Wrote the first program."}`)
	if diff := cmp.Diff(answer.Body, same.Body); diff != "" {
		t.Errorf("equal values changed the profile:\n%s", diff)
	}
	emptied := apitest.Decode[profile](t,
		b.Call(t, contracts.Gateway, "PATCH", target, `{"bio": "", "avatarUrl": "", "displayName": " Countess "}`), http.StatusOK)
	if emptied.Bio != "" || emptied.AvatarURL != "" || emptied.DisplayName != "Countess" {
		t.Errorf("got %+v, want neither bio nor image, and a trimmed name", emptied)
	}
}

func TestUpdateRefuses(t *testing.T) {
	b := setup(t)
	target := "/profiles/" + b.join(t, "Ada").UserID.String()
	for field, values := range map[string][]string{
		"displayName": {`""`, `" "`, `"` + strings.Repeat("x", 201) + `"`, `1`},
		"bio":         {`"` + strings.Repeat("x", 2001) + `"`, `{}`},
		"avatarUrl": {
			`"http://example.com/a.png"`, `"//example.com/a.png"`, `"/a.png"`, `"https://"`, `"https:///a.png"`, `"https://:443/"`,
			`"https://ada:secret@example.com/a.png"`, `"javascript:alert(1)"`, `" https://example.com"`, `"a b"`,
			`"https://example.com/` + strings.Repeat("x", 2048) + `"`, `[]`,
		},
		"userId": {`"0199aa3e-7c00-7000-8000-000000000001"`},
	} {
		for _, value := range values {
			p := b.Refuses(t, http.StatusBadRequest, "validation_failed", "PATCH", target, fmt.Sprintf(`{%q: %s}`, field, value))
			if len(p.Errors) != 1 || p.Errors[0].Field != field {
				t.Errorf("%s %s: got %+v, want it named", field, value, p.Errors)
			}
		}
	}
	b.Refuses(t, http.StatusBadRequest, "nothing_to_change", "PATCH", target, `{}`)
	if got := b.Call(t, contracts.Gateway, "PATCH", target, `{"bio": "x", "displayName": null}`); got.Status != http.StatusBadRequest {
		t.Errorf("null was taken for nothing: got %d %s", got.Status, got.Body)
	}
	for _, method := range []string{"GET", "PATCH"} {
		b.Refuses(t, http.StatusNotFound, "profile_not_found", method, "/profiles/"+uuid.NewString(), `{"bio": "x"}`)
		b.Refuses(t, http.StatusBadRequest, "invalid_id", method, "/profiles/1", `{"bio": "x"}`)
	}
}

func TestList(t *testing.T) {
	b := setup(t)
	var want []profile
	for i := range 5 {
		user := b.join(t, fmt.Sprintf("User %d", i))
		for range i {
			deliver(t, b, contracts.OrderCompleted, newOrder(t, user.UserID, "EUR", 10))
		}
		want = append(want, b.show(t, user.UserID))
	}
	gone := b.join(t, "Gone")
	deliver(t, b, contracts.UserDeleted, contracts.UserDeletion{UserID: gone.UserID})

	var got []profile
	for cursor, more := "", true; more; {
		answer := b.Call(t, contracts.Gateway, "GET", "/profiles?limit=2"+cursor, "")
		page := apitest.Decode[httpserver.List[profile]](t, answer, http.StatusOK)
		got = append(got, page.Items...)
		cursor, more = "&cursor="+page.NextCursor, page.NextCursor != ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("profiles over all pages (-want +got):\n%s", diff)
	}
	for _, query := range []string{"limit=0", "limit=101", "cursor=x", "userId=1"} {
		b.Refuses(t, http.StatusBadRequest, "invalid_query", "GET", "/profiles?"+query, "")
	}
}

func TestCallers(t *testing.T) {
	b := setup(t)
	one := "/profiles/" + b.join(t, "Ada").UserID.String()
	for _, route := range []struct{ method, target, body string }{
		{"GET", "/profiles", ""}, {"GET", one, ""}, {"PATCH", one, `{"bio": "x"}`},
	} {
		for caller, want := range map[string]int{
			"": http.StatusUnauthorized, contracts.UserService: http.StatusForbidden, contracts.Gateway: http.StatusOK,
		} {
			if got := b.Call(t, caller, route.method, route.target, route.body); got.Status != want {
				t.Errorf("%s %s by %q: got %d, want %d", route.method, route.target, caller, got.Status, want)
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
	user := b.join(t, "Ada")
	got := b.Call(t, contracts.Gateway, "GET", "/profiles/"+user.UserID.String(), "")
	if got.Status != http.StatusOK || got.Header.Get("Accept-Patch") != "application/json" {
		t.Errorf("got %d, Accept-Patch %q", got.Status, got.Header.Get("Accept-Patch"))
	}
}
