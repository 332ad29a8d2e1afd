package durability

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/e2e/front"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/e2e/world"
)

// written is one user that a writer asked for.
type written struct {
	id   string
	took time.Duration
}

// under runs harm while writers create users, at least so many, and until the
// harm is done.
func (l *lab) under(ctx context.Context, users int, write func(context.Context, int) (written, error), harm func(context.Context) error) ([]written, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var done atomic.Bool
	harmed := make(chan error, 1)
	go func() {
		defer done.Store(true)
		harmed <- harm(ctx)
	}()
	var mu sync.Mutex
	var all []written
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
	for range l.cfg.Writers {
		wg.Go(func() {
			for n, more := next(); more; n, more = next() {
				w, err := write(ctx, n)
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
	err := <-harmed
	if failed != nil && errors.Is(err, context.Canceled) {
		err = nil // it was called off
	}
	return all, errors.Join(failed, err)
}

// unlike says that a request was not answered as it should be.
func unlike(what string, status int, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: status %d", what, status)
}

func email(n int) string { return fmt.Sprintf("user-%d@example.com", n) }

// persist registers a user, however often it takes, and renames it twice.
func (l *lab) persist(ctx context.Context, n int) (written, error) {
	var u user
	status, err := l.client.call(ctx, front.Caller, world.User, http.MethodPost, "/users", user{Email: email(n), Name: "first"}, &u)
	if err != nil {
		return written{}, err
	}
	l.written.Add(1)
	if status != http.StatusCreated {
		return written{}, unlike("create "+email(n), status, nil)
	}
	for _, name := range []string{"second", "third"} {
		status, err := l.client.call(ctx, front.Caller, world.User, http.MethodPatch, "/users/"+u.ID, map[string]string{"name": name}, &u)
		if err != nil || status != http.StatusOK {
			return written{}, unlike("rename "+email(n), status, err)
		}
		l.written.Add(1)
	}
	return written{id: u.ID}, nil
}

// pace is what a writer that is measured waits after each write: it leaves the
// machine room, so that what is measured is the answer and not the queue.
const pace = 40 * time.Millisecond

// once registers a user with one request, which must succeed.
func (l *lab) once(ctx context.Context, n int) (written, error) {
	var u user
	began := time.Now()
	status, err := l.steady.try(ctx, front.Caller, world.User, http.MethodPost, "/users", user{Email: email(n), Name: "only"}, &u)
	took := time.Since(began)
	if err != nil || status != http.StatusCreated {
		return written{}, unlike("create "+email(n), status, err)
	}
	l.written.Add(1)
	_ = poll.Sleep(ctx, pace)
	return written{u.ID, took}, nil
}

// surely is once, repeated with its key if the outcome is unknown.
func (l *lab) surely(ctx context.Context, n int) (written, error) {
	w, err := l.once(ctx, n)
	for ; err != nil && strings.Contains(err.Error(), "outcome_unknown") && ctx.Err() == nil; w, err = l.once(ctx, n) {
		l.unknown.Add(1)
	}
	return w, err
}

// percentile returns the time that share of the writes took at most.
func percentile(writes []written, share float64) time.Duration {
	if len(writes) == 0 {
		return 0
	}
	sorted := slices.Clone(writes)
	slices.SortFunc(sorted, func(a, b written) int { return int(a.took - b.took) })
	return sorted[int(float64(len(sorted)-1)*share)].took
}
