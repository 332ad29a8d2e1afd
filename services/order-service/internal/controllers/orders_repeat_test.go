package controllers_test

import (
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/idempotency"
	"github.com/go-troika/troika/pkg/testkit"
	"github.com/go-troika/troika/pkg/testkit/apitest"
)

const key = "Idempotency-Key"

// insist repeats POST /orders until the database has a free connection, as a client does.
func (b bundle) insist(t *testing.T, body string, header ...string) apitest.Answer {
	for {
		answer := b.Call(t, contracts.Gateway, "POST", "/orders", body, header...)
		if answer.Status != http.StatusServiceUnavailable || t.Context().Err() != nil {
			return answer
		}
	}
}

// Fifty requests at once, over five connections: one places the order, the others wait
// for it.
func TestFiftyPostsWithOneKey(t *testing.T) {
	b := setup(t)
	answers := make([]apitest.Answer, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = b.insist(t, b.body(1), key, "k") })
	}
	wg.Wait()

	fresh := 0
	for _, a := range answers {
		if a.Status != http.StatusCreated || a.Body != answers[0].Body {
			t.Errorf("got %d %s, want every answer alike: %s", a.Status, a.Body, answers[0].Body)
		}
		if a.Header.Get("Idempotent-Replayed") == "" {
			fresh++
		}
	}
	if fresh > 1 || b.rows(t, "orders") != 1 || len(b.Published(t)) != 1 {
		t.Errorf("%d answers are first ones, %d orders with %v; want one each", fresh, b.rows(t, "orders"), b.Published(t))
	}
}

// Two different requests with one key: one succeeds, the other gets a conflict.
func TestOneKeyForTwoRequestsAtOnce(t *testing.T) {
	b := setup(t)
	statuses := make([]int, 10)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() { statuses[i] = b.insist(t, b.body(i+1), key, "k").Status })
	}
	wg.Wait()
	count := map[int]int{}
	for _, status := range statuses {
		count[status]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusCreated: 1, http.StatusUnprocessableEntity: 9}, count); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// The process or the connection dies after the commit and before the response: a repeated
// request gets the response of the existing order.
func TestAnswerLostAfterTheCommit(t *testing.T) {
	b := setup(t)
	b.loseAnswer(t, b.body(1), key, "k")
	if n := b.rows(t, "orders"); n != 1 {
		t.Fatalf("got %d orders, want the one whose answer was lost", n)
	}
	again := b.Call(t, contracts.Gateway, "POST", "/orders", b.body(1), key, "k")
	placed := apitest.Decode[order](t, again, http.StatusCreated)
	if again.Header.Get("Idempotent-Replayed") != "true" || b.rows(t, "orders") != 1 || len(b.Published(t)) != 1 {
		t.Errorf("replayed %q, %d orders, events %v", again.Header.Get("Idempotent-Replayed"), b.rows(t, "orders"), b.Published(t))
	}
	shown := b.Call(t, contracts.Gateway, "GET", "/orders/"+placed.ID.String(), "")
	if diff := cmp.Diff(shown.Body, again.Body); diff != "" {
		t.Errorf("replay (-shown +again):\n%s", diff)
	}
}

// Keys are stored and purged by the database's clock alone.
func TestOldKeysArePurged(t *testing.T) {
	b := setup(t)
	const keep = 24 * time.Hour
	keys := idempotency.Purge{DB: b.Data.Gorm, Config: idempotency.Config{Retention: keep}, Log: slog.New(slog.DiscardHandler)}
	young, old := b.place(t, key, "young"), b.place(t, key, "old")
	b.age(t, "young", keep-time.Minute)
	b.age(t, "old", keep+time.Minute)
	if err := keys.Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := b.place(t, key, "young"); again.ID != young.ID {
		t.Error("a key was forgotten before its time")
	}
	if again := b.place(t, key, "old"); again.ID == old.ID {
		t.Error("a key was kept beyond its time")
	}
	if n := b.rows(t, "orders"); n != 3 {
		t.Errorf("got %d orders, want all three: forgetting a key leaves its order", n)
	}
}

// More keys than one statement deletes, while another replica purges as well.
func TestPurgeByManyReplicas(t *testing.T) {
	b := setup(t)
	placed := b.place(t, key, "first")
	err := b.Data.Gorm.Exec(`INSERT INTO idempotency_keys (caller, key, request_hash, resource_id, created_at)
		SELECT 'gateway', n::text, '', ?, now() - interval '2 days' FROM generate_series(1, 1800) n`, placed.ID).Error
	if err != nil {
		t.Fatal(err)
	}
	stops := []func(){}
	for range 3 {
		stops = append(stops, testkit.Run(t, idempotency.Purge{DB: b.Data.Gorm, Config: idempotency.Config{Retention: 24 * time.Hour}, Log: slog.New(slog.DiscardHandler)}.Run))
	}
	testkit.Eventually(t, 20*time.Second, func() string {
		if n := b.rows(t, "idempotency_keys"); n != 1 {
			return "keys are left"
		}
		return ""
	})
	for _, stop := range stops {
		stop()
	}
	if again := b.place(t, key, "first"); again.ID != placed.ID {
		t.Error("the young key is gone too")
	}
}
