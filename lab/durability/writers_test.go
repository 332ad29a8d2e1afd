package durability_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/report"
)

// write is a user that a writer has created.
type write struct {
	id   string
	took time.Duration
}

// under applies faults while writers create users, at least so many, and until the
// faults are done.
func (l *lab) under(
	ctx context.Context, users int, create func(context.Context, int) (write, error), faults func(context.Context) error,
) ([]write, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var done atomic.Bool
	ended := make(chan error, 1)
	go func() {
		defer done.Store(true)
		ended <- faults(ctx)
	}()
	var mu sync.Mutex
	var all []write
	var failed error
	var wg sync.WaitGroup
	next := func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		users--
		if failed != nil || users < 0 && done.Load() {
			return 0, false
		}
		l.users++
		return l.users, true
	}
	for range writers {
		wg.Go(func() {
			for n, more := next(); more; n, more = next() {
				w, err := create(ctx, n)
				mu.Lock()
				all = append(all, w)
				if failed = errors.Join(failed, err); err != nil {
					stop()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, w := range all {
		if w.id != "" {
			l.acked[w.id] = true
		}
	}
	err := <-ended
	if failed != nil && errors.Is(err, context.Canceled) {
		err = nil // the writers' failure has cancelled the faults
	}
	return all, errors.Join(failed, err)
}

// newUser returns the body of the n-th registration, and its key: a repeated one creates
// no other user.
func newUser(n int, name string) (map[string]string, client.Change) {
	email := fmt.Sprintf("user-%d@example.com", n)
	return map[string]string{"email": email, "name": name}, client.Header("Idempotency-Key", email)
}

// createAndRename registers a user, retrying, and renames it twice.
func (l *lab) createAndRename(ctx context.Context, n int) (write, error) {
	body, key := newUser(n, "first")
	r, err := l.api.retry(ctx, environment.User, http.MethodPost, "/users", body, key)
	if err != nil {
		return write{}, err
	}
	l.written.Add(1)
	if r.Status != http.StatusCreated {
		return write{}, unexpected("create "+body["email"], r)
	}
	u, err := client.Parse[client.User](r)
	if err != nil {
		return write{}, err
	}
	for _, name := range []string{"second", "third"} {
		_, err := retryFor[client.User](ctx, l.api, environment.User, http.MethodPatch, "/users/"+u.ID,
			map[string]string{"name": name})
		if err != nil {
			return write{}, fmt.Errorf("rename %s: %w", body["email"], err)
		}
		l.written.Add(1)
	}
	return write{id: u.ID}, nil
}

// pace is the pause of a measured writer after each write: it leaves CPU to the system,
// so that the response time is measured and not the queue.
const pace = 40 * time.Millisecond

// create registers a user with one request, which must succeed.
func (l *lab) create(ctx context.Context, n int) (write, error) {
	body, key := newUser(n, "only")
	r, err := l.steady.send(ctx, environment.User, http.MethodPost, "/users", body, key)
	if err == nil && r.Status != http.StatusCreated {
		err = unexpected("status", r)
	}
	if err != nil {
		return write{}, fmt.Errorf("create %s: %w", body["email"], err)
	}
	u, err := client.Parse[client.User](r)
	l.written.Add(1)
	_ = poll.Sleep(ctx, pace)
	return write{u.ID, r.Took}, err
}

// createOrRepeat is create, repeated with its key if the outcome is unknown.
func (l *lab) createOrRepeat(ctx context.Context, n int) (write, error) {
	w, err := l.create(ctx, n)
	for ; err != nil && strings.Contains(err.Error(), "outcome_unknown") && ctx.Err() == nil; w, err = l.create(ctx, n) {
		l.unknown.Add(1)
	}
	return w, err
}

// percentile returns the time that share of the writes took at most.
func percentile(writes []write, share float64) time.Duration {
	var took []time.Duration
	for _, w := range writes {
		took = append(took, w.took)
	}
	return report.Percentile(took, share)
}
