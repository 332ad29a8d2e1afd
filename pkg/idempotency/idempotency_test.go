package idempotency_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/idempotency"
	"github.com/go-troika/troika/pkg/testkit"
)

// things is a database and how many resources were made in it.
type things struct {
	t  *testing.T
	db *database.DB

	mu       sync.Mutex
	replayed int
}

func newThings(t *testing.T) *things {
	t.Helper()
	t.Parallel()
	s := &things{t: t, db: testkit.Postgres(t, "thing-service", nil)}
	if err := s.db.Gorm.Exec(`CREATE TABLE things (id uuid PRIMARY KEY)`).Error; err != nil {
		t.Fatal(err)
	}
	return s
}

// create makes a thing in a request of caller with a key, "" for none.
func (s *things) create(caller, key, request string, failure error) (uuid.UUID, error) {
	return s.createBy(idempotency.Scope{Caller: caller, Route: "POST /things"}, key, request, failure)
}

func (s *things) createBy(scope idempotency.Scope, key, request string, failure error) (uuid.UUID, error) {
	ctx := s.t.Context()
	if key != "" {
		ctx = idempotency.WithKey(ctx, idempotency.Key{Scope: scope, Value: key, OnReplay: func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.replayed++
		}})
	}
	id := uuid.New()
	return idempotency.Once(ctx, s.db.Gorm, request, id, func(tx *gorm.DB) error {
		if err := tx.Exec(`INSERT INTO things VALUES (?)`, id).Error; err != nil {
			return err
		}
		return failure
	})
}

func (s *things) wantCount(want int64) {
	s.t.Helper()
	var n int64
	if err := s.db.Gorm.Table("things").Count(&n).Error; err != nil || n != want {
		s.t.Errorf("%d things, %v; want %d", n, err, want)
	}
}

func TestRepetitionGetsTheFirstResource(t *testing.T) {
	s := newThings(t)
	first, err := s.create("gateway", "k", "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.create("gateway", "k", "a", nil); err != nil || again != first {
		t.Errorf("got %v, %v; want %v", again, err, first)
	}
	s.wantCount(1)
	if s.replayed != 1 {
		t.Errorf("replayed %d times, want 1", s.replayed)
	}
}

func TestConcurrentRepetitionsMakeOneResource(t *testing.T) {
	s := newThings(t)
	ids := make([]uuid.UUID, 5)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			id, err := s.create("gateway", "k", "a", nil)
			if err != nil {
				t.Error(err)
			}
			ids[i] = id
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("got %v and %v", id, ids[0])
		}
	}
	s.wantCount(1)
}

func TestKeyOfAnotherRequestIsRefused(t *testing.T) {
	s := newThings(t)
	if _, err := s.create("gateway", "k", "a", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.create("gateway", "k", "b", nil); !errors.Is(err, idempotency.ErrKeyReused) {
		t.Errorf("got %v, want ErrKeyReused", err)
	}
	s.wantCount(1)
}

func TestCallersDoNotShareKeysAndNoKeyIsNew(t *testing.T) {
	s := newThings(t)
	for _, c := range []struct{ caller, key string }{{"gateway", "k"}, {"billing-service", "k"}, {"gateway", ""}, {"gateway", ""}} {
		if _, err := s.create(c.caller, c.key, "a", nil); err != nil {
			t.Fatal(err)
		}
	}
	s.wantCount(4)
}

// A client that counts its keys up uses the same one for two routes.
func TestRoutesDoNotShareKeys(t *testing.T) {
	s := newThings(t)
	for _, route := range []string{"POST /things", "POST /things/:id/parts"} {
		scope := idempotency.Scope{Caller: "gateway", Route: route}
		for range 2 {
			if _, err := s.createBy(scope, "k", route, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.wantCount(2)
}

// A key that was stored before keys had a route holds for its whole retention.
func TestKeyWithoutRouteIsFound(t *testing.T) {
	s := newThings(t)
	made, err := s.create("gateway", "k", "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Gorm.Exec(`UPDATE idempotency_keys SET caller = 'gateway'`).Error; err != nil {
		t.Fatal(err)
	}
	if again, err := s.create("gateway", "k", "a", nil); err != nil || again != made {
		t.Errorf("got %v, %v; want %v", again, err, made)
	}
	s.wantCount(1)
}

// A key is stored with the resource or not at all.
func TestFailedCreateLeavesNoKey(t *testing.T) {
	s := newThings(t)
	broken := errors.New("broken")
	if _, err := s.create("gateway", "k", "a", broken); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	s.wantCount(0)
	if _, err := s.create("gateway", "k", "b", nil); err != nil {
		t.Errorf("the key is taken: %v", err)
	}
}

func TestFind(t *testing.T) {
	s := newThings(t)
	ctx := idempotency.WithKey(t.Context(), idempotency.Key{
		Scope: idempotency.Scope{Caller: "gateway", Route: "POST /things"}, Value: "k",
	})
	if id, err := idempotency.Find(ctx, s.db.Gorm, "a"); err != nil || id != uuid.Nil {
		t.Errorf("before: %v, %v", id, err)
	}
	made, err := s.create("gateway", "k", "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := idempotency.Find(ctx, s.db.Gorm, "a"); err != nil || id != made {
		t.Errorf("after: %v, %v; want %v", id, err, made)
	}
	if _, err := idempotency.Find(ctx, s.db.Gorm, "b"); !errors.Is(err, idempotency.ErrKeyReused) {
		t.Errorf("another request: %v", err)
	}
}

func TestPurge(t *testing.T) {
	s := newThings(t)
	purge := idempotency.Purge{DB: s.db.Gorm, Config: idempotency.Config{Retention: time.Hour}, Log: slog.New(slog.DiscardHandler)}
	for _, key := range []string{"old", "new"} {
		if _, err := s.create("gateway", key, "a", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.db.Gorm.Exec(`UPDATE idempotency_keys SET created_at = now() - interval '61 minutes' WHERE key = 'old'`).Error; err != nil {
		t.Fatal(err)
	}
	if err := purge.Once(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"old", "new"} {
		if _, err := s.create("gateway", key, "a", nil); err != nil {
			t.Fatal(err)
		}
	}
	s.wantCount(3)
}
