package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/events/postgres"
	"github.com/go-troika/troika/pkg/events/relay"
)

// Instance is one of several instances of the publishing service, each with a relay.
type Instance struct {
	Number int64 // the relay's among the instances

	ours   *Ours
	db     *database.DB
	killed atomic.Bool
	stop   context.CancelFunc
	done   chan error
}

// killable is a relay's database in which a killed instance does not give up its lease.
type killable struct {
	relay.Database
	killed *atomic.Bool
}

// Resign implements relay.Database.
func (k killable) Resign(ctx context.Context, instance int64) error {
	if k.killed.Load() {
		return nil
	}
	return k.Database.Resign(ctx, instance)
}

// Start runs another instance, until its Stop or Kill.
func (o *Ours) Start(ctx context.Context) (*Instance, error) {
	db, err := database.Open(ctx, o.servers.Config(poolSize), o.service)
	if err != nil {
		return nil, err
	}
	outbox := events.NewOutbox(o.service)
	if err := db.Gorm.Use(outbox); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	i := &Instance{Number: rand.Int64(), ours: o, db: db, stop: stop, done: make(chan error, 1)}
	go func() { i.done <- o.relay(ctx, killable{postgres.NewLog(db.Pool()), &i.killed}, outbox, i.Number) }()
	return i, nil
}

// Write is [Pipeline.Write] on this instance.
func (i *Instance) Write(ctx context.Context, e Event) error { return i.ours.write(ctx, i.db, e) }

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
	err := o.published.Gorm.WithContext(ctx).Raw(
		`SELECT coalesce((SELECT relay FROM event_source WHERE relay_until > clock_timestamp()), 0)`).Scan(&number).Error
	if err != nil {
		return 0, fmt.Errorf("look for the relay's lease: %w", err)
	}
	return number, nil
}
