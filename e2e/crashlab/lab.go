package crashlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/e2e/front"
	"github.com/go-troika/troika/e2e/world"
)

// Config says how much of what. All fields are needed.
type Config struct {
	Stack    string // the stack command
	Name     string // of the stack that the lab runs
	Users    int    // to create, each renamed twice
	Kills    int
	Replicas int // of each service
	Writers  int
	Seed     uint64
}

// Settle is how long after the last kill everything may take to arrive.
const Settle = 10 * time.Second

// Run starts a system, writes and kills, counts, and stops it. It tells out what
// it does. The error says what did not hold.
func Run(ctx context.Context, cfg Config, out io.Writer) error {
	s, err := start(ctx, cfg.Stack, cfg.Name, cfg.Replicas)
	if err != nil {
		return err
	}
	l := &lab{cfg: cfg, out: out, stack: s, client: &client{s, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}}
	return errors.Join(l.run(ctx), s.stop())
}

type lab struct {
	cfg     Config
	out     io.Writer
	stack   *stack
	client  *client
	written atomic.Int64 // requests answered
}

func (l *lab) run(ctx context.Context) error {
	fmt.Fprintf(l.out, "%d users by %d writers, %d kills, %d replicas of each service, seed %d\n",
		l.cfg.Users, l.cfg.Writers, l.cfg.Kills, l.cfg.Replicas, l.cfg.Seed)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	killed := make(chan error, 1)
	go func() { killed <- l.killAll(ctx) }()
	writing := l.write(ctx)
	if writing != nil {
		stop()
	}
	if err := errors.Join(writing, <-killed); err != nil {
		return err
	}
	began := time.Now()
	for {
		err := l.compare(ctx)
		if err == nil {
			fmt.Fprintf(l.out, "all arrived %v after the last kill and the last write\n", time.Since(began).Round(time.Millisecond))
			return nil
		}
		if time.Since(began) > Settle {
			return err
		}
		time.Sleep(between)
	}
}

// killAll kills one part after another, and starts each again a moment later.
func (l *lab) killAll(ctx context.Context) error {
	random := rand.New(rand.NewPCG(l.cfg.Seed, 0))
	victims := l.stack.victims()
	for i := range l.cfg.Kills {
		if err := l.untilWritten(ctx, int64((i+1)*l.cfg.Users*requestsPerUser/(l.cfg.Kills+2))); err != nil {
			return err
		}
		victim := victims[random.IntN(len(victims))]
		away := time.Duration(random.IntN(300)) * time.Millisecond
		fmt.Fprintf(l.out, "kill -9 %s for %v, after %d requests\n", victim, away, l.written.Load())
		if err := l.stack.kill(ctx, victim); err != nil {
			return err
		}
		time.Sleep(away)
		if err := l.stack.restore(ctx, victim); err != nil {
			return err
		}
	}
	return nil
}

// untilWritten spreads the kills over the writing.
func (l *lab) untilWritten(ctx context.Context, n int64) error {
	for l.written.Load() < n {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

const requestsPerUser = 3

// write creates all users and renames each twice.
func (l *lab) write(ctx context.Context) error {
	var wg sync.WaitGroup
	numbers := make(chan int)
	failures := make(chan error, l.cfg.Writers)
	for range l.cfg.Writers {
		wg.Go(func() {
			for n := range numbers {
				if err := l.writeUser(ctx, n); err != nil {
					failures <- err
					return
				}
			}
		})
	}
	var failed error
	for n := 0; n < l.cfg.Users && failed == nil; n++ {
		select {
		case numbers <- n:
		case failed = <-failures:
		}
	}
	close(numbers)
	wg.Wait()
	close(failures)
	for err := range failures {
		failed = errors.Join(failed, err)
	}
	return failed
}

// writeUser registers a user. An answer that a kill swallowed leaves open
// whether the user exists; then the email is taken, and its owner is looked up.
func (l *lab) writeUser(ctx context.Context, n int) error {
	var u user
	email := fmt.Sprintf("user-%d@example.com", n)
	status, err := l.client.call(ctx, front.Caller, world.User, http.MethodPost, "/users", user{Email: email, Name: "first"}, &u)
	if err != nil {
		return err
	}
	l.written.Add(1)
	if status == http.StatusConflict {
		l.written.Add(requestsPerUser - 1) // it stays as it was made: its id is not known here
		return nil
	}
	if status != http.StatusCreated {
		return fmt.Errorf("create %s: status %d", email, status)
	}
	for _, name := range []string{"second", "third"} {
		status, err := l.client.call(ctx, front.Caller, world.User, http.MethodPatch, "/users/"+u.ID, map[string]string{"name": name}, &u)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("rename %s: status %d, %w", email, status, err)
		}
		l.written.Add(1)
	}
	return nil
}
