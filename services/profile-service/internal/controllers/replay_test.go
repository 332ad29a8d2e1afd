package controllers_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events/admin"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/services/profile-service/internal/models"
	"github.com/go-troika/troika/services/profile-service/internal/routes"
	"github.com/go-troika/troika/services/profile-service/internal/services"
)

// history publishes events of three users: one is renamed twice and orders, one orders in
// two currencies, one is deleted after ordering.
func history(t *testing.T, l testkit.Logs) {
	t.Helper()
	for i := range 3 {
		user := contracts.UserChange{UserID: newID(t), Email: fmt.Sprintf("user-%d@example.com", i), Name: "First", Revision: 1}
		publish(t, l, contracts.UserCreated, user)
		for _, currency := range []string{"USD", "EUR", "USD"}[:i+1] {
			order := newOrder(t, user.UserID, currency, int64(100*(i+1)))
			publish(t, l, contracts.OrderCreated, order)
			publish(t, l, contracts.OrderCompleted, order)
		}
		switch i {
		case 0:
			for _, name := range []string{"Second", "Third"} {
				user.Name, user.Revision = name, user.Revision+1
				publish(t, l, contracts.UserUpdated, user)
			}
		case 2:
			publish(t, l, contracts.UserDeleted, contracts.UserDeletion{UserID: user.UserID})
		}
	}
}

// rows returns every column of every row of a table.
func rows(t *testing.T, db *database.DB, table, key string) []map[string]any {
	t.Helper()
	var texts []string
	err := db.Gorm.Raw(`SELECT row_to_json(x)::text FROM ` + table + ` x ORDER BY ` + key).Scan(&texts).Error
	if err != nil {
		t.Fatal(err)
	}
	all := make([]map[string]any, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &all[i]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestReplay deletes all rows and empties Redis; the replayed events create the same rows,
// to the microsecond. Of a deleted user's earlier events only the deletion is left.
func TestReplay(t *testing.T) {
	t.Parallel()
	db, rdb := testkit.Postgres(t, contracts.ProfileService, models.Schema), testkit.Redis(t)
	from := testkit.Logs{}
	for _, source := range []string{contracts.UserService, contracts.OrderService} {
		from[source] = testkit.Postgres(t, source, nil)
		testkit.Relay(t, source, from[source], rdb)
	}
	subscriptions := routes.Events(services.NewProfiles(db.Gorm))
	testkit.Consumer(t, contracts.ProfileService, testkit.Open(t, db.Name()), rdb, from, subscriptions)
	operator := admin.Operator{DB: db, Name: contracts.ProfileService, Source: from, Sources: subscriptions.Sources(), Log: slog.New(slog.DiscardHandler)}
	history(t, from)
	settled := func() ([]map[string]any, []map[string]any) {
		t.Helper()
		var profiles, orders []map[string]any
		testkit.Eventually(t, 20*time.Second, func() string {
			var handled int64
			if err := db.Gorm.Raw(`SELECT coalesce(sum(pos), 0) FROM event_offsets`).Scan(&handled).Error; err != nil || handled != 18 {
				return fmt.Sprintf("%d events of 18 handled, %v", handled, err)
			}
			profiles, orders = rows(t, db, "profiles", "user_id"), rows(t, db, "completed_orders", "order_id")
			if len(profiles) != 3 || len(orders) != 3 || profiles[0]["name"] != "Third" || profiles[2]["deleted_at"] == nil {
				return fmt.Sprintf("profiles %v, orders %v", profiles, orders)
			}
			return ""
		})
		return profiles, orders
	}
	profiles, orders := settled()

	if err := db.Gorm.Exec(`TRUNCATE profiles, completed_orders`).Error; err != nil {
		t.Fatal(err)
	}
	if err := rdb.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]int64{contracts.UserService: 6, contracts.OrderService: 12} {
		if n, err := operator.Replay(t.Context(), admin.Replay{Service: source, Position: new(int64)}); n != want || err != nil {
			t.Fatalf("replay of %d events of %s, want %d: %v", n, source, want, err)
		}
	}
	again, ordersAgain := settled()
	for _, last := range []map[string]any{profiles[2], again[2]} { // deleted
		delete(last, "created_at")
		delete(last, "revision")
	}
	if diff := cmp.Diff(profiles, again) + cmp.Diff(orders, ordersAgain); diff != "" {
		t.Errorf("rows before and after the replay:\n%s", diff)
	}
}
