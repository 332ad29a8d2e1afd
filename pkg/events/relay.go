package events

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/database"
)

const (
	moveLimit      = 500                    // events moved, or appended, at once
	pollMin        = 20 * time.Millisecond  // fallback for a lost wake-up, just after work
	pollMax        = 500 * time.Millisecond // and after a while without
	sweepInterval  = time.Second            // how often all streams are compared with the log
	keepInterval   = 10 * time.Minute       // how often the log's days are looked after
	followInterval = 100 * time.Millisecond
	redisTimeout   = time.Second // for one append; shorter than sessionIdle
	retryMin       = 50 * time.Millisecond
	retryMax       = time.Second

	// A session that is silent for this long is ended by Postgres, and its
	// locks with it: the way to lead on when a leader is frozen.
	sessionIdle = "5s"

	wakeChannel = "event_outbox"
)

// Relay carries a service's published events from its outbox to its log and to
// Redis. Every instance of the service runs one; one of them leads, by a
// session lock in the database, and another takes over as soon as that session
// ends. The lock only saves work: several relays at once are still exact.
type Relay struct {
	outbox  *Outbox
	db      *database.DB
	redis   redis.UniversalClient
	log     *slog.Logger
	metrics *relayMetrics
}

// NewRelay makes the relay of what is published through outbox into db.
func NewRelay(outbox *Outbox, db *database.DB, rdb redis.UniversalClient, d Deps) *Relay {
	return &Relay{outbox: outbox, db: db, redis: rdb, log: d.Log, metrics: newRelayMetrics(d.Metrics)}
}

// Run relays until ctx is done, and gives nil then. It survives a Postgres or a
// Redis that is away: it tries again, at most a second later.
func (r *Relay) Run(ctx context.Context) error {
	wait := retryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := r.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > retryMax {
			wait = retryMin
		}
		r.log.WarnContext(ctx, "relay interrupted", "error", err, "retry_in", wait)
		pause(ctx, wait)
		wait = min(2*wait, retryMax)
	}
	return nil
}

// session follows, then leads, on one database session. It ends with an error.
func (r *Relay) session(ctx context.Context) error {
	conn, err := openSession(ctx, r.db)
	if err != nil {
		return err
	}
	defer closeSession(conn)
	if err := r.follow(ctx, conn); err != nil {
		return err
	}
	r.metrics.leading.Set(1)
	defer r.metrics.leading.Set(0)
	return r.lead(ctx, conn)
}

// follow waits until this session holds the relay's lock. Meanwhile it passes
// wake-ups of this instance on to the leader, outside of the transactions that
// caused them.
func (r *Relay) follow(ctx context.Context, conn *pgx.Conn) error {
	retry := time.NewTicker(followInterval)
	defer retry.Stop()
	for {
		var led bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, 0)`, lockClass("relay", r.outbox.service)).Scan(&led)
		if err != nil {
			return fmt.Errorf("lock relay: %w", err)
		}
		if led {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-retry.C:
		case <-r.outbox.wake:
			if _, err := conn.Exec(ctx, `SELECT pg_notify($1, '')`, wakeChannel); err != nil {
				return fmt.Errorf("wake leading relay: %w", err)
			}
			pause(ctx, time.Millisecond) // one notification for what commits together
		}
	}
}

// lead moves and appends until something fails.
func (r *Relay) lead(ctx context.Context, conn *pgx.Conn) error {
	ctx, stop := context.WithCancel(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		r.listen(ctx)
	}()
	defer func() { stop(); <-listening }()

	if _, err := conn.Exec(ctx, planByKey); err != nil {
		return fmt.Errorf("prepare session: %w", err)
	}
	l := leader{Relay: r, ledger: ledger{conn: conn}, tails: map[int]*tail{}}
	r.log.InfoContext(ctx, "relay leads")
	return l.run(ctx)
}

// listen turns the notifications of other instances into wake-ups. Without it
// the relay still polls.
func (r *Relay) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.listenOnce(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "relay does not hear other instances", "error", err)
			pause(ctx, retryMax)
		}
	}
}

func (r *Relay) listenOnce(ctx context.Context) error {
	conn, err := r.db.Connect(ctx)
	if err != nil {
		return err
	}
	defer closeSession(conn)
	if _, err := conn.Exec(ctx, `LISTEN `+wakeChannel); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("wait for notification: %w", err)
		}
		r.outbox.signal()
	}
}
