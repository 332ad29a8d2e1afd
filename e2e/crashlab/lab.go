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
	Users    int    // to create at least, each renamed twice; writing goes on until the last harm is undone
	Kills    int    // of instances of user-service and profile-service, Redis and Postgres
	Freezes  int    // of instances, for longer than it takes another to take over
	Replicas int    // of each service
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
	harmed  atomic.Bool  // the last harm is undone
	users   int          // that were created
}

func (l *lab) run(ctx context.Context) error {
	fmt.Fprintf(l.out, "%d writers, %d kills, %d freezes, %d replicas of each service, seed %d\n",
		l.cfg.Writers, l.cfg.Kills, l.cfg.Freezes, l.cfg.Replicas, l.cfg.Seed)
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
	mortal := l.stack.victims(world.User, world.Profile, world.Redis, "postgres")
	frozen := l.stack.victims(world.User, world.Profile)
	harms := l.cfg.Kills + l.cfg.Freezes
	defer l.harmed.Store(true)
	for i := range harms {
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		harm := harm{"kill", "start", mortal[random.IntN(len(mortal))], time.Duration(random.IntN(300)) * time.Millisecond}
		if i%(harms/max(l.cfg.Freezes, 1)) == 0 && l.cfg.Freezes > 0 {
			harm = freeze(frozen[random.IntN(len(frozen))], random)
		}
		if err := l.do(ctx, harm); err != nil {
			return err
		}
	}
	return nil
}

// harm is something done to a part, and undone after a while.
type harm struct {
	do, undo, part string
	lasts          time.Duration
}

// freeze stops a process in the middle of what it does, long enough for Postgres
// to end its sessions and for another instance to take over.
func freeze(part string, random *rand.Rand) harm {
	return harm{"pause", "resume", part, 6*time.Second + time.Duration(random.IntN(2000))*time.Millisecond}
}

func (l *lab) do(ctx context.Context, h harm) error {
	fmt.Fprintf(l.out, "%s %s for %v, after %d requests\n", h.do, h.part, h.lasts, l.written.Load())
	if err := l.stack.chaos(ctx, h.do, h.part); err != nil {
		return err
	}
	time.Sleep(h.lasts)
	return l.stack.chaos(ctx, h.undo, h.part)
}

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
	for failed == nil && (l.users < l.cfg.Users || !l.harmed.Load()) {
		select {
		case numbers <- l.users:
			l.users++
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
		return nil // it stays as it was made: its id is not known here
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
