package controllers_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
	"github.com/go-troika/troika/services/order-service/internal/routes"
)

// begin calls the handler of user.deleted as the consumer does, in a transaction that is
// still open.
func (b bundle) begin(t *testing.T, userID uuid.UUID) (commit func()) {
	t.Helper()
	handled, commits, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- database.Transaction(t.Context(), b.DB, func(tx *gorm.DB) error {
			err := b.orders.OnUserDeleted(t.Context(), tx, contracts.UserDeletion{UserID: userID})
			close(handled)
			<-commits
			return err
		})
	}()
	<-handled
	return func() {
		t.Helper()
		close(commits)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeletedUser(t *testing.T) {
	b := setup(t)
	sources := testkit.Logs{contracts.UserService: testkit.Postgres(t, contracts.UserService, nil)}
	rdb := testkit.Redis(t)
	testkit.Relay(t, contracts.UserService, sources[contracts.UserService], rdb)
	consumer := testkit.Open(t, database.Name(b.Config.Service, b.Config.Env)) // as in production, not the pool of the requests
	if err := consumer.Gorm.Use(events.NewOutbox(contracts.OrderService)); err != nil {
		t.Fatal(err)
	}
	testkit.Consumer(t, contracts.OrderService, consumer, rdb, sources, routes.Events(b.orders))

	pending, completed := b.place(t), b.place(t)
	b.Call(t, contracts.Gateway, "POST", "/orders/"+completed.ID.String()+"/complete", "")
	other := uuid.New()
	b.insert(t, other, 1)
	db := sources[contracts.UserService].Gorm.WithContext(t.Context())
	err := database.Transaction(t.Context(), db, func(tx *gorm.DB) error {
		return events.Publish(t.Context(), tx, contracts.UserDeleted, contracts.UserDeletion{UserID: b.users.known})
	})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 10*time.Second, func() string {
		if got := b.status(t, pending.ID); got != "cancelled" {
			return "the pending order is " + got
		}
		return ""
	})

	if got := b.status(t, completed.ID); got != "completed" || b.pending(t, other) != 1 {
		t.Errorf("the completed order is %s; %d pending orders of another user, want 1", got, b.pending(t, other))
	}
	if got := b.Published(t); !slices.Contains(got, "order.cancelled "+pending.ID.String()) || len(got) != 4 {
		t.Errorf("published %v, want one order.cancelled", got)
	}
	// user-service may have found the user just before the deletion.
	b.Refuses(t, http.StatusUnprocessableEntity, "unknown_user", "POST", "/orders", b.body(1))
}

// The order's transaction is the first to lock the user: the deletion waits for it and
// cancels the order.
func TestOrderPlacedDuringTheDeletionIsCancelled(t *testing.T) {
	b := setup(t)
	hold := b.Data.Gorm.WithContext(t.Context()).Begin() // keeps the order's transaction waiting after its lock
	if err := hold.Exec(`LOCK TABLE orders IN SHARE MODE`).Error; err != nil {
		t.Fatal(err)
	}
	var answer apitest.Answer
	var both sync.WaitGroup
	both.Go(func() { answer = b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1)) })
	b.awaitLocks(t, "relation", 1)
	both.Go(func() { b.begin(t, b.users.known)() })
	b.awaitLocks(t, "advisory", 1)
	if err := hold.Commit().Error; err != nil {
		t.Fatal(err)
	}
	both.Wait()

	placed := apitest.Decode[order](t, answer, http.StatusCreated)
	if got := b.status(t, placed.ID); got != "cancelled" {
		t.Errorf("the order of a deleted user is %s", got)
	}
}

// The deletion is the first to lock the user: the order waits for it and is refused.
func TestOrderPlacedBehindTheDeletionIsRefused(t *testing.T) {
	b := setup(t)
	commit := b.begin(t, b.users.known)
	var refused sync.WaitGroup
	refused.Go(func() { b.Refuses(t, http.StatusUnprocessableEntity, "unknown_user", "POST", "/orders", b.body(1)) })
	b.awaitLocks(t, "advisory", 1)
	commit()
	refused.Wait()
	if n := b.rows(t, "orders"); n != 0 {
		t.Errorf("%d orders of a deleted user", n)
	}
}

// More orders than one attempt has time for: each attempt continues after the one before.
func TestManyPendingOrders(t *testing.T) {
	b := setup(t)
	const n = 1_000
	userID := uuid.New()
	b.insert(t, userID, n)
	attempt := func(ctx context.Context) error {
		return database.Transaction(ctx, b.Data.Gorm, func(tx *gorm.DB) error {
			return b.orders.OnUserDeleted(ctx, tx, contracts.UserDeletion{UserID: userID})
		})
	}
	if err := b.Data.Gorm.Use(events.NewOutbox(contracts.OrderService)); err != nil {
		t.Fatal(err)
	}
	interrupted, stop := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() {
		if attempt(interrupted) == nil {
			t.Error("the interrupted attempt succeeded")
		}
	})
	testkit.Eventually(t, 10*time.Second, func() string {
		if b.rows(t, "event_outbox") == 0 {
			return "nothing is cancelled yet"
		}
		return ""
	})
	stop()
	first.Wait()
	if left := b.pending(t, userID); left == 0 || left == n {
		t.Fatalf("%d of %d orders are left after an interrupted attempt", left, n)
	}
	if err := attempt(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys := map[string]int{}
	for _, name := range b.Published(t) {
		keys[name]++
	}
	if left := b.pending(t, userID); left != 0 || len(keys) != n || len(b.Published(t)) != n {
		t.Errorf("%d orders are pending; %d events of %d orders, want one of each", left, len(b.Published(t)), len(keys))
	}
}

// insert adds pending orders of a user.
func (b bundle) insert(t *testing.T, userID uuid.UUID, n int) {
	t.Helper()
	err := b.Data.Gorm.Exec(`
INSERT INTO orders (id, user_id, status, currency, total, created_at, updated_at)
SELECT gen_random_uuid(), ?, 'pending', 'USD', 1, now(), now() FROM generate_series(1, ?)`, userID, n).Error
	if err != nil {
		t.Fatal(err)
	}
}

func (b bundle) status(t *testing.T, id uuid.UUID) string {
	t.Helper()
	return apitest.Decode[order](t, b.Call(t, contracts.Gateway, "GET", "/orders/"+id.String(), ""), http.StatusOK).Status
}

func (b bundle) pending(t *testing.T, userID uuid.UUID) (n int64) {
	t.Helper()
	if err := b.Data.Gorm.Table("orders").Where("user_id = ? AND status = 'pending'", userID).Count(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

// awaitLocks waits until n transactions wait for locks of a kind.
func (b bundle) awaitLocks(t *testing.T, kind string, n int64) {
	t.Helper()
	testkit.Eventually(t, 10*time.Second, func() string {
		var waiting int64
		err := b.Data.Gorm.Raw(`SELECT count(*) FROM pg_locks WHERE locktype = ? AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, kind).Scan(&waiting).Error
		if err != nil || waiting != n {
			return fmt.Sprintf("%d transactions wait for a lock (%v), want %d", waiting, err, n)
		}
		return ""
	})
}
