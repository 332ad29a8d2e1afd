package controllers_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
	"github.com/go-troika/troika/services/profile-service/internal/routes"
)

func TestFollow(t *testing.T) {
	b := setup(t)
	user := b.join(t, "Ada Lovelace")
	if got := b.show(t, user.UserID); got.DisplayName != "Ada Lovelace" || got.CreatedAt != got.UpdatedAt || got.Spent == nil {
		t.Errorf("got %+v, want a fresh profile of that name", got)
	}

	renamed := user
	renamed.Name, renamed.Revision = "Ada King", 3
	deliver(t, b, contracts.UserUpdated, renamed)
	after := b.show(t, user.UserID)
	if after.DisplayName != "Ada King" || !after.UpdatedAt.After(after.CreatedAt) {
		t.Errorf("got %+v, want the new name", after)
	}

	late := user
	late.Name, late.Revision = "Ada Byron", 2
	for _, again := range []contracts.UserChange{late, user, renamed} {
		deliver(t, b, contracts.UserUpdated, again)
	}
	if diff := cmp.Diff(after, b.show(t, user.UserID)); diff != "" {
		t.Errorf("old events changed the profile:\n%s", diff)
	}

	b.Call(t, contracts.Gateway, "PATCH", "/profiles/"+user.UserID.String(), `{"displayName": "Countess"}`)
	chosen := b.show(t, user.UserID)
	renamed.Name, renamed.Revision = "Augusta", 4
	deliver(t, b, contracts.UserUpdated, renamed)
	if diff := cmp.Diff(chosen, b.show(t, user.UserID)); diff != "" {
		t.Errorf("the chosen name was not kept:\n%s", diff)
	}
}

func TestCount(t *testing.T) {
	b := setup(t)
	userID := newID(t)
	early := newOrder(t, userID, "USD", 1999)
	deliver(t, b, contracts.OrderCompleted, early) // before the user's event
	b.Refuses(t, http.StatusNotFound, "profile_not_found", "GET", "/profiles/"+userID.String(), "")

	deliver(t, b, contracts.UserCreated, contracts.UserChange{UserID: userID, Email: "a@example.com", Name: "Ada", Revision: 1})
	deliver(t, b, contracts.OrderCompleted, newOrder(t, userID, "USD", 1))
	deliver(t, b, contracts.OrderCompleted, newOrder(t, userID, "EUR", 0))
	deliver(t, b, contracts.OrderCompleted, newOrder(t, newID(t), "USD", 7)) // of another user
	deliver(t, b, contracts.OrderCompleted, early)                           // repeated

	got := b.show(t, userID)
	want := []spent{{"EUR", 1, 0}, {"USD", 2, 2000}}
	if diff := cmp.Diff(want, got.Spent); diff != "" || got.CompletedOrders != 3 {
		t.Errorf("%d orders, want 3; spent (-want +got):\n%s", got.CompletedOrders, diff)
	}

	const most = 1<<53 - 1
	deliver(t, b, contracts.OrderCompleted, newOrder(t, userID, "EUR", most))
	deliver(t, b, contracts.OrderCompleted, newOrder(t, userID, "EUR", most))
	if got := b.show(t, userID).Spent[0]; got != (spent{"EUR", 3, most}) {
		t.Errorf("got %+v, want a total that stops at 2⁵³−1", got)
	}
}

func TestDeletedUser(t *testing.T) {
	b := setup(t)
	user := b.join(t, "Ada")
	other := b.join(t, "Bob")
	target := "/profiles/" + user.UserID.String()
	b.Call(t, contracts.Gateway, "PATCH", target, `{"displayName": "Countess", "bio": "Secret", "avatarUrl": "https://example.com"}`)
	for _, id := range []uuid.UUID{user.UserID, other.UserID} {
		deliver(t, b, contracts.OrderCompleted, newOrder(t, id, "USD", 5))
	}

	// Earlier events can be delivered again, and completions can come later.
	deliver(t, b, contracts.UserDeleted, contracts.UserDeletion{UserID: user.UserID})
	deliver(t, b, contracts.UserDeleted, contracts.UserDeletion{UserID: user.UserID})
	deliver(t, b, contracts.UserUpdated, user)
	deliver(t, b, contracts.OrderCompleted, newOrder(t, user.UserID, "USD", 5))

	b.Refuses(t, http.StatusNotFound, "profile_not_found", "GET", target, "")
	b.Refuses(t, http.StatusNotFound, "profile_not_found", "PATCH", target, `{"bio": "x"}`)
	var left int64
	query := `SELECT (SELECT count(*) FROM completed_orders WHERE user_id = @id) +
		(SELECT count(*) FROM profiles WHERE user_id = @id AND (name || bio || avatar_url <> '' OR display_name IS NOT NULL))`
	if err := b.Data.Gorm.Raw(query, map[string]any{"id": user.UserID}).Scan(&left).Error; err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d rows still tell of the person", left)
	}
	if got := b.show(t, other.UserID); got.CompletedOrders != 1 {
		t.Errorf("got %+v, want the other user's order kept", got)
	}

	early := newID(t) // deleted before it was created
	deliver(t, b, contracts.UserDeleted, contracts.UserDeletion{UserID: early})
	deliver(t, b, contracts.UserCreated, contracts.UserChange{UserID: early, Email: "a@example.com", Name: "Eve", Revision: 1})
	b.Refuses(t, http.StatusNotFound, "profile_not_found", "GET", "/profiles/"+early.String(), "")
}

func TestCompletionUnderWayDoesNotOutliveTheUser(t *testing.T) {
	b := setup(t)
	userID := b.join(t, "Ada").UserID
	completion := b.Data.Gorm.WithContext(t.Context()).Begin()
	if err := b.profiles.OnOrderCompleted(t.Context(), completion, newOrder(t, userID, "USD", 5)); err != nil {
		t.Fatal(err)
	}
	var forgotten sync.WaitGroup
	forgotten.Go(func() { deliver(t, b, contracts.UserDeleted, contracts.UserDeletion{UserID: userID}) })
	testkit.Eventually(t, 10*time.Second, func() string {
		var waiting int64
		err := b.Data.Gorm.Raw("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&waiting).Error
		if err != nil || waiting != 1 {
			return fmt.Sprintf("%d wait for the completion (%v)", waiting, err)
		}
		return ""
	})
	if err := completion.Commit().Error; err != nil {
		t.Fatal(err)
	}
	forgotten.Wait()

	var left int64
	if err := b.Data.Gorm.Table("completed_orders").Where("user_id = ?", userID).Count(&left).Error; err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d completed orders outlived their user", left)
	}
}

func TestSubscriptions(t *testing.T) {
	b := setup(t)
	rdb := testkit.Redis(t)
	sources := testkit.Logs{}
	for _, source := range []string{contracts.UserService, contracts.OrderService} {
		sources[source] = testkit.Postgres(t, source, nil)
		testkit.Relay(t, source, sources[source], rdb)
	}
	testkit.Consumer(t, contracts.ProfileService, b.Data, rdb, sources, routes.Events(b.profiles))

	user := contracts.UserChange{UserID: newID(t), Email: "ada@example.com", Name: "Ada", Revision: 1}
	publish(t, sources, contracts.UserCreated, user)
	user.Name, user.Revision = "Ada King", 2
	publish(t, sources, contracts.UserUpdated, user)
	publish(t, sources, contracts.OrderCompleted, newOrder(t, user.UserID, "USD", 1999))
	b.awaits(t, user.UserID, http.StatusOK, func(p profile) bool { return p.DisplayName == "Ada King" && p.CompletedOrders == 1 })

	publish(t, sources, contracts.UserDeleted, contracts.UserDeletion{UserID: user.UserID})
	b.awaits(t, user.UserID, http.StatusNotFound, func(profile) bool { return true })
}

// publish publishes an event as its service does.
func publish[T any](t *testing.T, sources testkit.Logs, event events.Type[T], payload T) {
	t.Helper()
	db := sources[event.Source()].Gorm.WithContext(t.Context())
	err := db.Transaction(func(tx *gorm.DB) error { return events.Publish(t.Context(), tx, event, payload) })
	if err != nil {
		t.Fatal(err)
	}
}

// awaits polls the profile until it has the status and satisfies want.
func (b bundle) awaits(t *testing.T, userID uuid.UUID, status int, want func(profile) bool) {
	t.Helper()
	testkit.Eventually(t, 10*time.Second, func() string {
		answer := b.Call(t, contracts.Gateway, "GET", "/profiles/"+userID.String(), "")
		if answer.Status != status || !want(apitest.Decode[profile](t, answer, status)) {
			return answer.Body
		}
		return ""
	})
}
