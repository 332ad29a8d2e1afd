package e2e_test

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
)

// atOnce is what a refusal by an open breaker may take on a busy machine; it
// takes about a millisecond.
const atOnce = 250 * time.Millisecond

// recovery covers a restart, a breaker's cooldown and a registry's refresh.
const recovery = 20 * time.Second

func TestBreakerOpensAndCloses(t *testing.T) {
	exclusive(t, func(b *bundle) {
		user := b.register()
		b.place(user.ID)
		b.during(environment.User, func() {
			for range 5 { // more than it takes to open
				b.refused(user.ID)
			}
			fastest := time.Hour
			for range 5 { // the breaker itself is at once; a trial in between is not
				fastest = min(fastest, b.refused(user.ID).Took)
			}
			if fastest > atOnce {
				b.Errorf("refused in %v, want it at once", fastest)
			}
		})
		eventually(b, recovery, func() error {
			a := b.do(environment.Order, http.MethodPost, "/orders", newOrder(user.ID))
			if a.Status != http.StatusCreated {
				return fmt.Errorf("user-service is back, and an order gets %d: %s", a.Status, a.Body)
			}
			return nil
		})
	})
}

// refused places an order that cannot be checked and must not be taken.
func (b *bundle) refused(userID string) client.Response {
	b.Helper()
	a := b.do(environment.Order, http.MethodPost, "/orders", newOrder(userID))
	wait, err := strconv.Atoi(a.Header.Get("Retry-After"))
	if a.Status != http.StatusServiceUnavailable || err != nil || wait < 1 {
		b.Errorf("status %d, Retry-After %q, want 503 and seconds: %s", a.Status, a.Header.Get("Retry-After"), a.Body)
	}
	return a
}

func TestHungUserServiceDoesNotHangOrders(t *testing.T) {
	exclusive(t, func(b *bundle) {
		user := b.register()
		b.must(b.env.Pause(b.Context(), environment.User))
		a, err := b.try(environment.Order, http.MethodPost, "/orders", newOrder(user.ID))
		b.must(b.env.Resume(b.Context(), environment.User))
		b.must(err)
		if a.Status != http.StatusServiceUnavailable || a.Took > 7*time.Second {
			b.Errorf("status %d after %v, want 503 within the client's 5 s: %s", a.Status, a.Took, a.Body)
		}
		eventually(b, recovery, func() error {
			a := b.do(environment.Order, http.MethodPost, "/orders", newOrder(user.ID))
			if a.Status != http.StatusCreated {
				return fmt.Errorf("order after the pause: %d: %s", a.Status, a.Body)
			}
			return nil
		})
	})
}

func TestConsumerDownLosesNothing(t *testing.T) {
	exclusive(t, func(b *bundle) {
		before := b.register()
		b.awaitProfile(before.ID, soon, exists)
		var users []client.User
		b.during(environment.Profile, func() {
			for range 20 {
				users = append(users, b.register())
			}
			b.buy(before.ID, 5)
		})
		for _, user := range users {
			b.awaitProfile(user.ID, recovery, exists)
		}
		b.awaitProfile(before.ID, recovery, counted(5))
	})
}

func TestWipedRedisLosesNothing(t *testing.T) {
	exclusive(t, func(b *bundle) {
		user := b.register()
		b.awaitProfile(user.ID, soon, exists)
		b.buy(user.ID, 3)

		b.must(b.env.Wipe(b.Context(), environment.Redis))
		orders := make([]client.Order, 0, 4)
		for range cap(orders) {
			orders = append(orders, b.place(user.ID))
		}
		for _, order := range orders {
			b.complete(order.ID)
		}
		newcomer := b.register()
		b.must(b.env.Start(b.Context(), environment.Redis))

		b.awaitProfile(user.ID, recovery, counted(7))
		b.awaitProfile(newcomer.ID, recovery, exists)
		b.buy(user.ID, 5) // anything applied twice shows in the count
		b.awaitProfile(user.ID, recovery, counted(12))
		b.logsAreJSON() // what libraries say of the loss included
	})
}

func TestKilledPublisherLosesNothing(t *testing.T) {
	exclusive(t, func(b *bundle) {
		ctx, stop := context.WithCancel(b.Context())
		created := &ids{}
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() { created.register(ctx, b) })
		}
		eventually(b, soon, created.atLeast(40))
		b.during(environment.User, func() {})
		eventually(b, recovery, created.atLeast(created.len()+40))
		stop()
		writers.Wait()

		users := idsOf(all[client.User](b, environment.User, "/users"), func(u client.User) string { return u.ID })
		for _, id := range created.all {
			if _, found := slices.BinarySearch(users, id); !found {
				b.Errorf("user %s was answered 201 and is gone", id)
			}
		}
		eventually(b, recovery, func() error {
			profiles := idsOf(all[profile](b, environment.Profile, "/profiles"), func(p profile) string { return p.UserID })
			if !slices.Equal(users, profiles) {
				return fmt.Errorf("%d users and %d profiles, want the same", len(users), len(profiles))
			}
			return nil
		})
	})
}

func idsOf[T any](items []T, id func(T) string) []string {
	var all []string
	for _, item := range items {
		all = append(all, id(item))
	}
	slices.SortFunc(all, cmp.Compare)
	return all
}

// ids collects from several writers the users that they were promised.
type ids struct {
	mu  sync.Mutex
	all []string
}

func (s *ids) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

func (s *ids) atLeast(n int) func() error {
	return func() error {
		if got := s.len(); got < n {
			return fmt.Errorf("%d users created, want %d", got, n)
		}
		return nil
	}
}

// register creates users until ctx is done; a creation without a response may or
// may not have happened.
func (s *ids) register(ctx context.Context, b *bundle) {
	for ctx.Err() == nil {
		a, err := b.try(environment.User, http.MethodPost, "/users", client.NewUser())
		if err != nil || a.Status != http.StatusCreated {
			continue
		}
		var user client.User
		if user, err = client.Parse[client.User](a); err != nil {
			continue
		}
		s.mu.Lock()
		s.all = append(s.all, user.ID)
		s.mu.Unlock()
	}
}
