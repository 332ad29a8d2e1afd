package road

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
)

// Instance is one of several instances of the publishing service, each with a
// relay.
type Instance struct {
	// Number is the relay's among the instances.
	Number int64

	road   *Ours
	db     *database.DB
	killed *atomic.Bool
	stop   context.CancelFunc
	done   chan error
}

// mortal is a relay's database that a killed process does not say goodbye to.
type mortal struct {
	relay.Database
	killed *atomic.Bool
}

// Resign implements relay.Database.
func (m mortal) Resign(ctx context.Context, me int64) error {
	if m.killed.Load() {
		return nil
	}
	return m.Database.Resign(ctx, me)
}

// Start runs another instance, until its Stop or Kill.
func (o *Ours) Start(ctx context.Context) (*Instance, error) {
	db, err := database.Open(ctx, o.lab.Config(poolSize), o.from)
	if err != nil {
		return nil, err
	}
	outbox := events.NewOutbox(o.service)
	if err := db.Gorm.Use(outbox); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	i := &Instance{Number: rand.Int64(), road: o, db: db, killed: new(atomic.Bool), stop: stop, done: make(chan error, 1)}
	go func() { i.done <- o.carry(ctx, mortal{postgres.NewLog(db.Pool()), i.killed}, outbox, i.Number) }()
	return i, nil
}

// Write is [Road.Write] on this instance.
func (i *Instance) Write(ctx context.Context, e Event) error {
	return i.road.write(ctx, i.db, e)
}

// Stop ends the instance and waits for its relay.
func (i *Instance) Stop() error {
	i.stop()
	return errors.Join(<-i.done, i.db.Close())
}

// Kill ends the instance without giving up the relay's lease.
func (i *Instance) Kill() error {
	i.killed.Store(true)
	return i.Stop()
}

// Leader returns the number of the instance whose relay leads, 0 if none does.
func (o *Ours) Leader(ctx context.Context) (int64, error) {
	var number int64
	err := o.writer.Gorm.WithContext(ctx).Raw(
		`SELECT coalesce((SELECT relay FROM event_source WHERE relay_until > clock_timestamp()), 0)`).Scan(&number).Error
	if err != nil {
		return 0, fmt.Errorf("look for the relay's lease: %w", err)
	}
	return number, nil
}

// Snapshot takes a snapshot of the publisher's database, which keeps all that
// is deleted after it from being removed, until it is released.
func (o *Ours) Snapshot(ctx context.Context) (release func() error, err error) {
	conn, err := o.writer.Connect(ctx)
	if err != nil {
		return nil, err
	}
	release = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		return conn.Close(ctx)
	}
	_, err = conn.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM orders`)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take a snapshot: %w", err), release())
	}
	return release, nil
}

const closeTime = 10 * time.Second
