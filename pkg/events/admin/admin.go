// Package admin has an operator's commands on a consumer: show its offsets, redrive or
// discard parked events, replay the log, pause. Every command is one transaction on the
// consumer's rows, safe while its instances run; they follow within about a second.
package admin

import (
	"context"
	"fmt"
	"log/slog"

	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events"
	"github.com/go-troika/troika/pkg/fault"
)

// Errors of an operator's commands.
var (
	ErrNothingSelected = fault.New(fault.Malformed, "nothing_selected", "Name one of an id, an event, or all")
	ErrNotParked       = fault.New(fault.NotFound, "event_not_parked", "No such parked event")
	ErrReplayFrom      = fault.New(fault.Malformed, "replay_from", "Name either a position or a time to replay from")
	ErrNotSubscribed   = fault.New(fault.Unprocessable, "not_subscribed", "The consumer does not subscribe to this service")
	ErrNoSuchPart      = fault.New(fault.Unprocessable, "no_such_partition", "No such partition")
	ErrPositionOfAll   = fault.New(fault.Unprocessable, "position_of_all",
		"A position belongs to one partition: name it, or replay all from position 0 or from a time")
	ErrRepairing = fault.New(fault.Conflict, "consumer_repairing",
		"The consumer does not stand on the producer's history yet; try again when it does")
)

// commandTime bounds a command's statements, and its wait for a handler in progress.
const commandTime = "30s"

// Operator controls the consumer of one service, in all its instances. It is safe for
// concurrent use.
type Operator struct {
	DB      *database.DB
	Name    string        // of the consumer
	Source  events.Source // of the producers' logs
	Sources []string      // the services subscribed to
	Log     *slog.Logger
}

// transaction runs f in a transaction of a command.
func (o *Operator) transaction(ctx context.Context, f func(*gorm.DB) error) error {
	return database.Transaction(ctx, o.DB.Gorm, func(tx *gorm.DB) error {
		for _, setting := range []string{"lock_timeout", "statement_timeout"} {
			if err := tx.Exec(`SELECT set_config(?, ?, true)`, setting, commandTime).Error; err != nil {
				return err
			}
		}
		return f(tx)
	})
}

// Status is the state of a consumer.
type Status struct {
	Consumer string           `json:"consumer"`
	Paused   bool             `json:"paused"`
	Offsets  []Offset         `json:"offsets"` // by service and partition
	Parked   map[string]int64 `json:"parked"`  // keys with parked events, by state
}

// Offset is how far a consumer has handled the events of one partition.
type Offset struct {
	Service   string `json:"service"`
	Partition int64  `json:"partition,string"`
	Position  int64  `json:"position"`
}

// Status returns the state of the consumer.
func (o *Operator) Status(ctx context.Context) (Status, error) {
	s := Status{Consumer: o.Name, Offsets: []Offset{}, Parked: map[string]int64{}}
	var states []struct {
		State string
		N     int64
	}
	err := o.transaction(ctx, func(tx *gorm.DB) error {
		for _, read := range []*gorm.DB{
			tx.Raw(`SELECT EXISTS (SELECT 1 FROM event_consumers WHERE consumer = ? AND paused)`, o.Name).Scan(&s.Paused),
			tx.Raw(`
SELECT source AS service, part AS partition, pos AS position FROM event_offsets
WHERE consumer = ? ORDER BY source, part`, o.Name).Scan(&s.Offsets),
			tx.Raw(`SELECT state, count(*) AS n FROM event_keys WHERE consumer = ? GROUP BY state`, o.Name).Scan(&states),
		} {
			if read.Error != nil {
				return read.Error
			}
		}
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("read consumer's state: %w", err)
	}
	for _, state := range states {
		s.Parked[state.State] = state.N
	}
	return s, nil
}

// Pause stops the consumer until Resume. Events published meanwhile wait.
func (o *Operator) Pause(ctx context.Context) error { return o.setPaused(ctx, true) }

// Resume ends a Pause.
func (o *Operator) Resume(ctx context.Context) error { return o.setPaused(ctx, false) }

func (o *Operator) setPaused(ctx context.Context, paused bool) error {
	err := o.DB.Gorm.WithContext(ctx).Exec(`
INSERT INTO event_consumers (consumer, paused) VALUES (?, ?)
ON CONFLICT (consumer) DO UPDATE SET paused = excluded.paused`, o.Name, paused).Error
	if err != nil {
		return fmt.Errorf("pause or resume: %w", err)
	}
	if paused {
		o.Log.WarnContext(ctx, "consumer paused")
	} else {
		o.Log.InfoContext(ctx, "consumer resumed")
	}
	return nil
}
