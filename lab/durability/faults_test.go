package durability_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/go-troika/troika/e2e/driver"
	"github.com/go-troika/troika/e2e/environment"
	"github.com/go-troika/troika/e2e/poll"
)

// fault is applied to a part, and undone after a while.
type fault struct {
	do, undo, part string
	lasts          time.Duration
}

func (l *lab) apply(ctx context.Context, f fault) error {
	l.t.Logf("%s %s for %v, after %d requests", f.do, f.part, f.lasts, l.written.Load())
	if err := l.stack.Do(ctx, f.do, f.part); err != nil {
		return err
	}
	_ = poll.Sleep(ctx, f.lasts)
	return l.stack.Do(ctx, f.undo, f.part)
}

// random returns a random time below limit.
func (l *lab) random(limit time.Duration) time.Duration {
	return time.Duration(l.rand.Int64N(limit.Milliseconds())) * time.Millisecond
}

func (l *lab) anyOf(parts []string) string { return parts[l.rand.IntN(len(parts))] }

// shortly is how long what was killed stays down, and the pause before the next kill, at
// most.
const shortly = 300 * time.Millisecond

// killed kills one part after another with SIGKILL, and starts each again a moment
// later. Between the kills it freezes some for longer than it takes Postgres to end
// their sessions and another instance to take over.
func (l *lab) killed(ctx context.Context) (string, error) {
	killable := l.names(environment.User, environment.Profile, environment.Redis)
	freezable := l.names(environment.User, environment.Profile)
	faults := *kills + *freezes
	_, err := l.under(ctx, *users, l.createAndRename, func(ctx context.Context) error {
		for i, left := 0, *freezes; i < faults; i++ {
			_ = poll.Sleep(ctx, l.random(shortly))
			f := fault{driver.Kill, driver.Start, l.anyOf(killable), l.random(shortly)}
			if left > 0 && i%(faults / *freezes) == 0 {
				left--
				f = fault{driver.Pause, driver.Resume, l.anyOf(freezable), 6*time.Second + l.random(2*time.Second)}
			}
			if err := l.apply(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
	return l.arrival(ctx, err)
}

// crashed kills Postgres with all its sessions: it recovers from its log.
func (l *lab) crashed(ctx context.Context) (string, error) {
	_, err := l.under(ctx, 0, l.createAndRename, func(ctx context.Context) error {
		for range *crashes {
			_ = poll.Sleep(ctx, shortly+l.random(shortly))
			if err := l.apply(ctx, fault{driver.Kill, driver.Start, "postgres", l.random(shortly)}); err != nil {
				return err
			}
		}
		return nil
	})
	return l.arrival(ctx, err)
}

// frozen stops the instance whose relay leads, until another has led for a while, and
// resumes it: it still believes that it leads.
func (l *lab) frozen(ctx context.Context) (string, error) {
	var takeover time.Duration
	_, err := l.under(ctx, 0, l.createAndRename, func(ctx context.Context) error {
		leader, err := l.leader(ctx, "")
		if err != nil {
			return err
		}
		l.t.Logf("pause %s, which leads", leader)
		began := time.Now()
		if err := l.stack.Do(ctx, driver.Pause, leader); err != nil {
			return err
		}
		successor, err := l.leader(ctx, leader)
		takeover = time.Since(began)
		_ = poll.Sleep(ctx, *frozen-takeover)
		l.t.Logf("resume %s; %s leads since %v after", leader, successor, takeover.Round(time.Millisecond))
		return errors.Join(err, l.stack.Do(ctx, driver.Resume, leader))
	})
	results, err := l.arrival(ctx, err)
	return fmt.Sprintf("successor leads after %v; %s", takeover.Round(time.Millisecond), results), err
}

// leader waits for an instance of user-service whose relay leads, other than one.
func (l *lab) leader(ctx context.Context, other string) (leader string, err error) {
	err = poll.Until(ctx, settleTime, func() error {
		for _, p := range l.stack.Instances(environment.User) {
			if p.Name == other {
				continue
			}
			if leads, err := l.api.metric(ctx, p, "event_relay_leader"); err == nil && leads == 1 {
				leader = p.Name
				return nil
			}
		}
		return errors.New("no relay leads")
	})
	return leader, err
}

// dropped ends sessions of user-service as pg_terminate_backend does. No write may fail
// but those whose commit was in progress.
func (l *lab) dropped(ctx context.Context) (string, error) {
	ended := 0
	l.unknown.Store(0)
	writes, err := l.under(ctx, 0, l.createOrRepeat, func(ctx context.Context) error {
		for ended < *drops && ctx.Err() == nil {
			sessions, err := l.sessions(ctx, environment.User)
			if err != nil {
				return err
			}
			for range min(3, len(sessions), *drops-ended) {
				if syscall.Kill(sessions[l.rand.IntN(len(sessions))], syscall.SIGTERM) == nil {
					ended++
				}
			}
			_ = poll.Sleep(ctx, l.random(shortly))
		}
		return ctx.Err()
	})
	results, err := l.arrival(ctx, err)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d ended, of %d writes 0 failed and %d had to be repeated; %s",
		ended, len(writes), l.unknown.Load(), results), nil
}
