package contracts_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
)

var (
	userID  = uuid.MustParse("0199aa3e-7c00-7000-8000-000000000001")
	orderID = uuid.MustParse("0199aa3e-7c00-7000-8000-000000000002")
	at      = time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)

	user    = contracts.User{ID: userID, Email: "ada@example.com", Name: "Ada Lovelace", CreatedAt: at, UpdatedAt: at.Add(24 * time.Hour)}
	created = contracts.UserChange{UserID: userID, Email: "ada@example.com", Name: "Ada Lovelace", Revision: 1}
	updated = contracts.UserChange{UserID: userID, Email: "ada@example.com", Name: "Ada Lovelace", Revision: 2}
	deleted = contracts.UserDeletion{UserID: userID}
	order   = contracts.OrderChange{OrderID: orderID, UserID: userID, Currency: "USD", Total: 1999, At: at}
)

func TestGolden(t *testing.T) {
	t.Parallel()
	t.Run("user", func(t *testing.T) { golden(t, "user", user) })
	t.Run("user.created", func(t *testing.T) { golden(t, "user.created", created) })
	t.Run("user.updated", func(t *testing.T) { golden(t, "user.updated", updated) })
	t.Run("user.deleted", func(t *testing.T) { golden(t, "user.deleted", deleted) })
	t.Run("order.created", func(t *testing.T) { golden(t, "order.created", order) })
	t.Run("order.completed", func(t *testing.T) { golden(t, "order.completed", order) })
	t.Run("order.cancelled", func(t *testing.T) { golden(t, "order.cancelled", order) })
}

// golden checks that value is encoded as in the golden file, and decoded from it, also with
// an additional field.
func golden[T any](t *testing.T, name string, value T) {
	t.Helper()
	t.Parallel()
	want, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}

	got, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), string(got)); diff != "" {
		t.Errorf("written (-golden +got):\n%s", diff)
	}

	newer := strings.Replace(string(want), "{", `{"addedLater": {"by": "a newer sender"},`, 1)
	for _, text := range []string{string(want), newer} {
		var read T
		if err := json.Unmarshal([]byte(text), &read); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(value, read); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	type event interface {
		Source() string
		Name() string
	}
	for _, tc := range []struct {
		event        event
		source, name string
	}{
		{contracts.UserCreated, "user-service", "user.created"},
		{contracts.UserUpdated, "user-service", "user.updated"},
		{contracts.UserDeleted, "user-service", "user.deleted"},
		{contracts.OrderCreated, "order-service", "order.created"},
		{contracts.OrderCompleted, "order-service", "order.completed"},
		{contracts.OrderCancelled, "order-service", "order.cancelled"},
	} {
		if tc.event.Source() != tc.source || tc.event.Name() != tc.name {
			t.Errorf("got %s of %s, want %s of %s", tc.event.Name(), tc.event.Source(), tc.name, tc.source)
		}
	}
}

func TestMalformedIDIsNotDecoded(t *testing.T) {
	t.Parallel()
	var d contracts.UserDeletion
	if err := json.Unmarshal([]byte(`{"userId": "someone"}`), &d); err == nil {
		t.Errorf("got %v, want an error", d)
	}
}
