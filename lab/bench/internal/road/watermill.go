package road

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/lab/bench/internal/lab"
)

// Tuning is what is set in Watermill. Zero values leave its defaults.
type Tuning struct {
	Poll        time.Duration // of the outbox, when it was empty; default 1 s
	Batch       int           // rows read from the outbox at once; default 100
	Subscribers int           // of the stream, in one group; default 1
}

// Tuned is Watermill at its best, but for the order: several subscribers of one
// stream overtake each other.
var Tuned = Tuning{Poll: 10 * time.Millisecond, Batch: 500, Subscribers: 4}

// String says how the tuning differs from the default.
func (t Tuning) String() string {
	if t == (Tuning{}) {
		return "as it comes: outbox polled every 1 s, 100 rows at once, 1 subscriber"
	}
	return fmt.Sprintf("outbox polled every %v, %d rows at once, %d subscribers of the stream (which gives up its order)",
		t.Poll, t.Batch, t.Subscribers)
}

// Watermill is its outbox: a publisher into SQL inside the transaction, its
// forwarder, and its Redis streams.
type Watermill struct {
	lab    *lab.Lab
	tuning Tuning
	name   string // of the stream
	base   string // database
	log    watermill.LoggerAdapter
	db     *sql.DB
	redis  *redis.Client
}

const outboxTopic = "outbox"

// NewWatermill prepares Watermill with the given tuning.
func NewWatermill(ctx context.Context, l *lab.Lab, t Tuning) (*Watermill, error) {
	w := &Watermill{lab: l, tuning: t, name: lab.NewName(), log: errorLog{log: l.Log}, redis: l.NewRedis(poolSize)}
	if err := w.prepare(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *Watermill) prepare(ctx context.Context) error {
	var err error
	if w.base, err = w.lab.TakeDatabase(ctx); err != nil {
		return err
	}
	if w.db, err = sql.Open("pgx", w.lab.URL(w.base)); err != nil {
		return err
	}
	w.db.SetMaxOpenConns(poolSize)
	w.db.SetMaxIdleConns(poolSize)
	if _, err := w.db.ExecContext(ctx, business); err != nil {
		return err
	}
	sub, err := w.outboxSubscriber()
	if err != nil {
		return err
	}
	return sub.SubscribeInitialize(outboxTopic)
}

// Close implements Road.
func (w *Watermill) Close() error {
	var closed error
	if w.db != nil {
		closed = w.db.Close()
	}
	return errors.Join(closed, w.lab.RemoveStreams(w.name), w.redis.Close(), w.lab.ReturnDatabase(w.base))
}

func (w *Watermill) schema() wsql.DefaultPostgreSQLSchema {
	return wsql.DefaultPostgreSQLSchema{SubscribeBatchSize: w.tuning.Batch}
}

func (w *Watermill) outboxSubscriber() (*wsql.Subscriber, error) {
	return wsql.NewSubscriber(w.db, wsql.SubscriberConfig{
		ConsumerGroup: groupName, PollInterval: w.tuning.Poll,
		SchemaAdapter: w.schema(), OffsetsAdapter: wsql.DefaultPostgreSQLOffsetsAdapter{},
	}, w.log)
}

// Write implements Road.
func (w *Watermill) Write(ctx context.Context, e Event) error {
	return inTx(ctx, w.db, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, insertBusiness, e.N, note); err != nil {
			return err
		}
		return w.publish(tx, newMessage(e))
	})
}

func newMessage(e Event) *message.Message {
	return message.NewMessage(watermill.NewUUID(), e.encode())
}

func (w *Watermill) publish(tx *sql.Tx, all ...*message.Message) error {
	out, err := wsql.NewPublisher(tx, wsql.PublisherConfig{SchemaAdapter: w.schema()}, w.log)
	if err != nil {
		return err
	}
	return forwarder.NewPublisher(out, forwarder.PublisherConfig{ForwarderTopic: outboxTopic}).Publish(w.name, all...)
}

// Fill implements Road.
func (w *Watermill) Fill(ctx context.Context, events []Event) error {
	return fill(events, func(batch []Event) error {
		all := make([]*message.Message, len(batch))
		for i, e := range batch {
			all[i] = newMessage(e)
		}
		return inTx(ctx, w.db, func(tx *sql.Tx) error { return w.publish(tx, all...) })
	})
}

// Carry implements Road.
func (w *Watermill) Carry(ctx context.Context) error {
	sub, err := w.outboxSubscriber()
	if err != nil {
		return err
	}
	out, err := w.streamPublisher()
	if err != nil {
		return err
	}
	defer out.Close()
	f, err := forwarder.NewForwarder(sub, out, w.log, forwarder.Config{ForwarderTopic: outboxTopic})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { f.Close() })()
	return f.Run(context.WithoutCancel(ctx)) // closes sub, too
}
