package road

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-troika/troika/bench/internal/lab"
	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
)

// Instance is one of several instances of the publishing service, each with a
// relay.
type Instance struct {
	// Name is the application name of its database sessions.
	Name string

	road *Ours
	db   *database.DB
	stop context.CancelFunc
	done chan error
}

// Start runs another instance, until its Stop.
func (o *Ours) Start(ctx context.Context) (*Instance, error) {
	name := lab.NewName()
	db, err := database.Open(ctx, o.lab.Config(poolSize), o.from, database.WithSetting("application_name", name))
	if err != nil {
		return nil, err
	}
	outbox := events.NewOutbox(o.service, events.DefaultConfig())
	if err := db.Gorm.Use(outbox); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	ctx, stop := context.WithCancel(ctx)
	i := &Instance{Name: name, road: o, db: db, stop: stop, done: make(chan error, 1)}
	go func() { i.done <- o.carry(ctx, db, outbox) }()
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

// Leader names the instance whose relay leads, "" if none does.
func (o *Ours) Leader(ctx context.Context) (string, error) {
	return o.lab.LockHolder(ctx, o.from)
}

// Kill ends the session of the relay of the instance so named and tells whether
// there was one.
func (o *Ours) Kill(ctx context.Context, instance string) (bool, error) {
	n, err := o.lab.Terminate(ctx, o.from, instance)
	return n > 0, err
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
