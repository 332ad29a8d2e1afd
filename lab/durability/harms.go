package durability

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/e2e/world"
)

// harm is something done to a part, and undone after a while.
type harm struct {
	do, undo, part string
	lasts          time.Duration
}

func (l *lab) do(ctx context.Context, h harm) error {
	fmt.Fprintf(l.out, "%s %s for %v, after %d requests\n", h.do, h.part, h.lasts, l.written.Load())
	if err := l.stack.Do(ctx, h.do, h.part); err != nil {
		return err
	}
	_ = poll.Sleep(ctx, h.lasts)
	return l.stack.Do(ctx, h.undo, h.part)
}

// moment is a random time below limit.
func (l *lab) moment(limit time.Duration) time.Duration {
	return time.Duration(l.random.Int64N(limit.Milliseconds())) * time.Millisecond
}

func (l *lab) anyOf(parts []string) string { return parts[l.random.IntN(len(parts))] }

// shortly is how long what was killed stays away, and the pause before the next
// kill, at most.
const shortly = 300 * time.Millisecond

// killed kills one part after another, as kill -9, and starts each again a
// moment later. Between the kills it freezes some for longer than it takes
// Postgres to end their sessions and another instance to take over.
func (l *lab) killed(ctx context.Context) (string, error) {
	mortal := l.stack.names(world.User, world.Profile, world.Redis)
	able := l.stack.names(world.User, world.Profile)
	harms := l.cfg.Kills + l.cfg.Freezes
	_, err := l.under(ctx, l.cfg.Users, l.persist, func(ctx context.Context) error {
		for i, freezes := 0, l.cfg.Freezes; i < harms; i++ {
			_ = poll.Sleep(ctx, l.moment(shortly))
			h := harm{"kill", "start", l.anyOf(mortal), l.moment(shortly)}
			if freezes > 0 && i%(harms/l.cfg.Freezes) == 0 {
				freezes--
				h = harm{"pause", "resume", l.anyOf(able), 6*time.Second + l.moment(2*time.Second)}
			}
			if err := l.do(ctx, h); err != nil {
				return err
			}
		}
		return nil
	})
	return l.arrival(ctx, err)
}

// crashed kills Postgres with all its sessions: it recovers from its log.
func (l *lab) crashed(ctx context.Context) (string, error) {
	_, err := l.under(ctx, 0, l.persist, func(ctx context.Context) error {
		for range l.cfg.Crashes {
			_ = poll.Sleep(ctx, shortly+l.moment(shortly))
			if err := l.do(ctx, harm{"kill", "start", "postgres", l.moment(shortly)}); err != nil {
				return err
			}
		}
		return nil
	})
	return l.arrival(ctx, err)
}

// frozen stops the instance whose relay leads, until another has led for a
// while, and wakes it: it still believes that it leads.
func (l *lab) frozen(ctx context.Context) (string, error) {
	var takeover time.Duration
	_, err := l.under(ctx, 0, l.persist, func(ctx context.Context) error {
		leader, err := l.leader(ctx, "")
		if err != nil {
			return err
		}
		fmt.Fprintf(l.out, "pause %s, which leads\n", leader)
		began := time.Now()
		if err := l.stack.Do(ctx, "pause", leader); err != nil {
			return err
		}
		successor, err := l.leader(ctx, leader)
		takeover = time.Since(began)
		_ = poll.Sleep(ctx, l.cfg.Frozen-takeover)
		fmt.Fprintf(l.out, "resume %s; %s leads since %v after\n", leader, successor, takeover.Round(time.Millisecond))
		return errors.Join(err, l.stack.Do(ctx, "resume", leader))
	})
	figures, err := l.arrival(ctx, err)
	return fmt.Sprintf("successor leads after %v; %s", takeover.Round(time.Millisecond), figures), err
}

// leader waits for an instance of user-service whose relay leads, other than
// one.
func (l *lab) leader(ctx context.Context, other string) (string, error) {
	for began := time.Now(); time.Since(began) < Settle; _ = poll.Sleep(ctx, between) {
		for _, p := range l.stack.Parts {
			if p.Service != world.User || p.Name == other {
				continue
			}
			leads, err := l.client.metric(ctx, p, "event_relay_leader")
			if err == nil && leads == 1 {
				return p.Name, nil
			}
		}
	}
	return "", errors.New("no relay leads")
}

// dropped ends sessions of user-service, and wants no write to fail but those whose
// commit was under way.
func (l *lab) dropped(ctx context.Context) (string, error) {
	ended := 0
	l.unknown.Store(0)
	writes, err := l.under(ctx, 0, l.surely, func(ctx context.Context) error {
		for ended < l.cfg.Drops && ctx.Err() == nil {
			sessions, err := l.stack.sessions(ctx, world.User)
			if err != nil {
				return err
			}
			for range min(3, len(sessions), l.cfg.Drops-ended) {
				if l.stack.endSession(sessions[l.random.IntN(len(sessions))]) == nil {
					ended++
				}
			}
			_ = poll.Sleep(ctx, l.moment(shortly))
		}
		return ctx.Err()
	})
	figures, err := l.arrival(ctx, err)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d ended, of %d writes 0 failed and %d had to be repeated; %s", ended, len(writes), l.unknown.Load(), figures), nil
}
