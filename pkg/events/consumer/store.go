package consumer

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/events"
)

// Offset is a consumer's progress in a part, and the instance that reads it.
type Offset struct {
	Source string
	Part   int64
	events.Position
	Owner int64 // 0 for none
}

// Group is the state of a service as a consumer, as its instances share it.
type Group struct {
	Live     []int64 // instances that are alive, sorted
	Paused   bool
	Offsets  []Offset // by source and part
	Declared map[events.TypeName]int
	// Due is the time until a parked key is due, below 0 if none waits.
	Due time.Duration

	readAt time.Duration
}

// Key is a key with parked events.
type Key struct {
	Source, Key string
	State       string
	Attempts    int           // of its first event
	Age         time.Duration // since the first of them
}

// Taken is an event that goes into the inbox.
type Taken struct {
	events.Position
	ID     uuid.UUID
	Passed bool // no release handled its type
}

// Known is the state of a part and of a batch of its events. It holds only if Offset is
// as it was last seen.
type Known struct {
	Offset Offset
	Seen   map[uuid.UUID]bool // events that are in the inbox
	Waits  map[string]bool    // keys with parked events
}

// ErrKeyGone is returned by Park when the key's row was deleted meanwhile. The
// transaction is lost, and can be repeated.
var ErrKeyGone = errors.New("key with parked events was deleted meanwhile")

// States of a Key.
const (
	StateWaiting = "waiting" // for its next attempt
	StateAhead   = "ahead"   // for an instance that knows its first event's type
	StateDead    = "dead"    // for a person's decision
)

// Parked is an event that waits, with its place in the log.
type Parked struct {
	Number int64 // in the order of parking
	Part   int64
	events.Record
}

// Database is the consumer's Postgres. Each method is one transaction; it is safe
// for concurrent use.
type Database interface {
	// Beat records that the instance me is alive, and returns the group.
	Beat(ctx context.Context, me int64) (Group, error)
	// Leave records that me has stopped: it is not alive and owns nothing.
	Leave(ctx context.Context, me int64) error
	// AddOffsets adds offsets before the first event for parts that have none.
	AddOffsets(ctx context.Context, source string, parts []int64) error
	// Own changes the owner of an offset from o.Owner, unless it was changed
	// meanwhile, and returns the row as it is then.
	Own(ctx context.Context, o Offset, owner int64) (row Offset, ok bool, err error)
	// GoBack sets an offset to a place, if the row is still equal to o. Inbox rows
	// above it lose their places until their events are seen again.
	GoBack(ctx context.Context, o Offset, to events.Position) (bool, error)
	// Older returns places of a part from the inbox, at most
	// events.MaxPlaces-1: at doubling distances below pos, and always the oldest.
	Older(ctx context.Context, source string, part, pos int64) ([]events.Position, error)
	// Purge deletes inbox rows of a part below pos, a limited number, and reports
	// whether some are left.
	Purge(ctx context.Context, source string, part, pos int64) (bool, error)
	// CountKeys returns the number of keys with parked events by state.
	CountKeys(ctx context.Context) (map[string]int64, error)
	// DropKey deletes the row of a key that has no parked events.
	DropKey(ctx context.Context, source, key string) error
	// Transact runs f in a transaction. f may run again if nothing was done.
	Transact(ctx context.Context, f func(Tx) error) error
}

// Tx is a transaction of a [Database].
type Tx interface {
	// Lock locks the offset of a part and returns what is known of a batch.
	Lock(source string, part int64, ids []uuid.UUID, keys []string) (Known, error)
	// Offsets returns the consumer's positions in all parts of a source.
	Offsets(source string) (map[int64]events.Position, error)
	// Take puts events into the inbox, or updates the places of those that are
	// there, and returns how many were new. It moves the offset o to the place to.
	Take(o Offset, to events.Position, taken []Taken) (fresh int, err error)

	// Savepoint runs f, and rolls back to before it if it fails. handlerErr is f's
	// error; err means that the transaction is lost.
	Savepoint(f func() error) (handlerErr, err error)
	// Handle calls the handler of a subscription.
	Handle(ctx context.Context, s *events.Subscription, e events.Envelope) error

	// Park adds an event behind those of its key. If the key has no row yet, it is
	// added as k, with its next attempt after d.
	Park(k Key, d time.Duration, reason string, p Parked, event string) error
	// Unpark removes all that is parked of a key, and the key's row.
	Unpark(source, key string) error

	// LockDue locks a key that is due and that no other transaction has locked.
	LockDue() (k Key, ok bool, err error)
	// First returns the first parked event of a key.
	First(source, key string) (p Parked, ok bool, err error)
	// Remove deletes a parked event, and starts the key's attempts anew.
	Remove(source, key string, number int64) error
	// Postpone sets a key's state, attempts and next attempt after d.
	Postpone(k Key, d time.Duration, reason string) error
	// LockKey locks a key, and reports whether it still waits.
	LockKey(source, key string) (k Key, ok bool, err error)
}

// Streams is the consumer's side of Redis.
type Streams interface {
	// Open returns a reader of the stream of a part.
	Open(source string, part int64) StreamReader
}

// Forged is the position of an entry that no relay wrote. It follows none.
const Forged = math.MaxInt64

// StreamReader reads one stream. It serves one goroutine.
type StreamReader interface {
	// Read returns entries above pos: some of them, in order. With none it waits
	// for half a second, or until ctx is done. An entry that no relay writes has the
	// position [Forged].
	Read(ctx context.Context, part events.Part, pos int64) ([]events.Entry, error)
	// Close frees what the reader holds.
	Close() error
}
