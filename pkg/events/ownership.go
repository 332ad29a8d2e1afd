package events

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// balanceInterval is how often an instance compares what it owns with its
// share, and so the most a partition without owner waits.
const balanceInterval = 200 * time.Millisecond

// own takes this instance's share of the partitions and reads them, on one
// database session, until ctx is done or the session fails. Each partition and
// each member of the group is an advisory lock of that session: Postgres itself
// keeps the list of the living, and no clock is compared.
func (c *Consumer) own(ctx context.Context) error {
	conn, err := openSession(ctx, c.db)
	if err != nil {
		return err
	}
	defer closeSession(conn)
	o := &owner{
		Consumer: c, conn: conn, running: map[feed]*running{},
		members: lockClass("member", c.name), owners: lockClass("owner", c.name),
	}
	defer o.releaseAll()
	if err := o.join(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(balanceInterval)
	defer tick.Stop()
	for {
		if err := o.balance(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// owner is a consumer with a session.
type owner struct {
	*Consumer
	conn            *pgx.Conn
	members, owners int32
	running         map[feed]*running
}

// running is a partition being read.
type running struct {
	stop context.CancelFunc
	done chan struct{}
}

// join makes this session known as a member of the group.
func (o *owner) join(ctx context.Context) error {
	for {
		joined, err := o.try(ctx, o.members, rand.Int32())
		if err != nil || joined {
			return err
		}
	}
}

func (o *owner) try(ctx context.Context, class, object int32) (locked bool, err error) {
	err = o.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, $2)`, class, object).Scan(&locked)
	if err != nil {
		return false, fmt.Errorf("lock partition: %w", err)
	}
	return locked, nil
}

// balance gives back one partition if this instance has more than its share,
// and takes free ones if it has less.
func (o *owner) balance(ctx context.Context) error {
	group, err := o.survey(ctx)
	if err != nil {
		return err
	}
	feeds := o.feeds()
	share := group.share(len(feeds))
	if group.paused {
		share = 0
	}
	for f := range o.running {
		if len(o.running) <= share {
			break
		}
		if err := o.release(ctx, f); err != nil {
			return err
		}
	}
	for _, f := range feeds {
		if len(o.running) >= share {
			break
		}
		if _, mine := o.running[f]; mine || slices.Contains(group.owned, hash32(f.stream())) {
			continue
		}
		if err := o.claim(ctx, f); err != nil {
			return err
		}
	}
	o.metrics.owned.Set(float64(len(o.running)))
	return nil
}

// group is the consumer group as Postgres' lock table shows it.
type group struct {
	members int
	rank    int     // of this session among them
	owned   []int32 // locks of owned partitions
	paused  bool
}

// share is how many of n partitions this session should own: the same for all,
// and one more for the first of the members if it does not divide.
func (g group) share(n int) int {
	share := n / g.members
	if g.rank < n%g.members {
		share++
	}
	return share
}

func (o *owner) survey(ctx context.Context) (group, error) {
	rows, err := o.conn.Query(ctx, `
SELECT classid::bigint::bit(32)::int, objid::bigint::bit(32)::int, pid = pg_backend_pid()
FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND classid::bigint::bit(32)::int IN ($1, $2)
ORDER BY pid`, o.members, o.owners)
	if err != nil {
		return group{}, fmt.Errorf("survey consumer group: %w", err)
	}
	var g group
	var class, object int32
	var mine bool
	_, err = pgx.ForEachRow(rows, []any{&class, &object, &mine}, func() error {
		switch {
		case class == o.owners:
			g.owned = append(g.owned, object)
		case mine:
			g.rank = g.members
			g.members++
		default:
			g.members++
		}
		return nil
	})
	if err == nil {
		err = o.conn.QueryRow(ctx,
			`SELECT coalesce((SELECT paused FROM event_consumers WHERE consumer = $1), false)`, o.name).Scan(&g.paused)
	}
	if err == nil && g.members == 0 {
		err = fmt.Errorf("membership was lost")
	}
	if err != nil {
		return group{}, fmt.Errorf("survey consumer group: %w", err)
	}
	return g, nil
}

// claim takes a partition, if nobody else has by now, and reads it.
func (o *owner) claim(ctx context.Context, f feed) error {
	locked, err := o.try(ctx, o.owners, hash32(f.stream()))
	if err != nil || !locked {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	r := &running{stop, make(chan struct{})}
	o.running[f] = r
	go func() {
		defer close(r.done)
		(&reader{Consumer: o.Consumer, feed: f, gapAt: nowhere}).run(ctx)
	}()
	return nil
}

// release ends the reading of a partition and gives it back.
func (o *owner) release(ctx context.Context, f feed) error {
	r := o.running[f]
	r.stop()
	<-r.done
	delete(o.running, f)
	_, err := o.conn.Exec(ctx, `SELECT pg_advisory_unlock($1, $2)`, o.owners, hash32(f.stream()))
	if err != nil {
		return fmt.Errorf("unlock partition: %w", err)
	}
	return nil
}

// releaseAll ends all reading. The locks end with the session.
func (o *owner) releaseAll() {
	for _, r := range o.running {
		r.stop()
	}
	for _, r := range o.running {
		<-r.done
	}
	o.metrics.owned.Set(0)
}
