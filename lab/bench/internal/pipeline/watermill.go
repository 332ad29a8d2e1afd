package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v3/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/go-troika/troika/lab/bench/internal/servers"
)

// Tuning is what is set in Watermill. Zero values leave its defaults.
type Tuning struct {
	Poll        time.Duration // of the outbox, when it was empty; default 1 s
	Batch       int           // rows read from the outbox at once; default 100
	Subscribers int           // of the stream, in one group; default 1
}

// Tuned is Watermill at its best, but for the order: several subscribers of one stream
// overtake each other.
var Tuned = Tuning{Poll: 10 * time.Millisecond, Batch: 500, Subscribers: 4}

// String describes the tuning.
func (t Tuning) String() string {
	if t == (Tuning{}) {
		return "outbox polled every 1 s, 100 rows at once, 1 subscriber"
	}
	return fmt.Sprintf("outbox polled every %v, %d rows at once, %d subscribers of the stream (which gives up its order)",
		t.Poll, t.Batch, t.Subscribers)
}

// Watermill is its outbox: a publisher into SQL inside the transaction, its forwarder,
// and its Redis streams.
type Watermill struct {
	servers *servers.Servers
	tuning  Tuning
	stream  string
	db      *sql.DB
	redis   *redis.Client
}

const outboxTopic = "outbox"

var log watermill.NopLogger

// NewWatermill prepares Watermill with the given tuning.
func NewWatermill(ctx context.Context, s *servers.Servers, t Tuning) (*Watermill, error) {
	name := servers.NewName()
	if err := s.CreateDatabase(ctx, name); err != nil {
		return nil, err
	}
	db, err := sql.Open("pgx", s.URL(name))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(poolSize)
	db.SetMaxIdleConns(poolSize)
	w := &Watermill{servers: s, tuning: t, stream: name, db: db, redis: s.NewRedis(poolSize)}
	_, errExec := db.ExecContext(ctx, business)
	sub, err := w.outboxSubscriber()
	if err = errors.Join(errExec, err); err == nil {
		err = sub.SubscribeInitialize(outboxTopic)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Close implements Pipeline.
func (w *Watermill) Close() error {
	return errors.Join(w.db.Close(), w.servers.RemoveKeys(w.stream), w.redis.Close())
}

func (w *Watermill) schema() wsql.DefaultPostgreSQLSchema {
	return wsql.DefaultPostgreSQLSchema{SubscribeBatchSize: w.tuning.Batch}
}

func (w *Watermill) outboxSubscriber() (*wsql.Subscriber, error) {
	return wsql.NewSubscriber(w.db, wsql.SubscriberConfig{
		ConsumerGroup: groupName, PollInterval: w.tuning.Poll,
		SchemaAdapter: w.schema(), OffsetsAdapter: wsql.DefaultPostgreSQLOffsetsAdapter{},
	}, log)
}

// Write implements Pipeline.
func (w *Watermill) Write(ctx context.Context, e Event) error {
	return w.transaction(ctx, func(tx *sql.Tx) error {
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
	out, err := wsql.NewPublisher(tx, wsql.PublisherConfig{SchemaAdapter: w.schema()}, log)
	if err != nil {
		return err
	}
	return forwarder.NewPublisher(out, forwarder.PublisherConfig{ForwarderTopic: outboxTopic}).Publish(w.stream, all...)
}

func (w *Watermill) transaction(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// FillOutbox implements Pipeline.
func (w *Watermill) FillOutbox(ctx context.Context, events []Event) error {
	return fill(events, func(batch []Event) error {
		all := make([]*message.Message, len(batch))
		for i, e := range batch {
			all[i] = newMessage(e)
		}
		return w.transaction(ctx, func(tx *sql.Tx) error { return w.publish(tx, all...) })
	})
}

// Relay implements Pipeline.
func (w *Watermill) Relay(ctx context.Context) error {
	sub, err := w.outboxSubscriber()
	if err != nil {
		return err
	}
	out, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: w.newClient(1)}, log) // closes its client
	if err != nil {
		return err
	}
	defer out.Close()
	f, err := forwarder.NewForwarder(sub, out, log, forwarder.Config{ForwarderTopic: outboxTopic})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { f.Close() })()
	return f.Run(context.WithoutCancel(ctx)) // closes sub, too
}

// newClient returns a client with go-redis' default: with another Watermill's subscriber
// takes its own stop for an error and pauses.
func (w *Watermill) newClient(size int) *redis.Client {
	opts := w.servers.RedisOptions(size)
	opts.ContextTimeoutEnabled = false
	return redis.NewClient(opts)
}

// FillStream implements Pipeline. It writes what Watermill's publisher would, without
// waiting for the reply to each.
func (w *Watermill) FillStream(ctx context.Context, events []Event) error {
	return appendAll(ctx, w.redis, len(events), func(i int) (*redis.XAddArgs, error) {
		values, err := redisstream.DefaultMarshallerUnmarshaller{}.Marshal(w.stream, newMessage(events[i]))
		return &redis.XAddArgs{Stream: w.stream, Values: values}, err
	})
}

// Appended implements Pipeline.
func (w *Watermill) Appended(ctx context.Context) (int64, error) {
	return appended(ctx, w.redis, w.stream)
}

// Consume implements Pipeline.
func (w *Watermill) Consume(ctx context.Context, h Handler) error {
	var subscribers errgroup.Group
	for range max(w.tuning.Subscribers, 1) {
		subscribers.Go(func() error { return w.subscribe(ctx, h) })
	}
	return subscribers.Wait()
}

func (w *Watermill) subscribe(ctx context.Context, h Handler) error {
	sub, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client: w.newClient(4), ConsumerGroup: groupName,
		DisableIndefiniteInitialBlock: true, // or it could not be stopped
	}, log)
	if err != nil {
		return err
	}
	deliveries, err := sub.Subscribe(ctx, w.stream)
	if err != nil {
		return errors.Join(err, sub.Close())
	}
	for m := range deliveries {
		if err = decode(m.Payload, h); err != nil {
			m.Nack()
			break
		}
		m.Ack()
	}
	return errors.Join(err, sub.Close())
}
