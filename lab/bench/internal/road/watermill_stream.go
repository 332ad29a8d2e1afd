package road

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
)

func (w *Watermill) streamPublisher() (*redisstream.Publisher, error) {
	// The publisher closes its client.
	return redisstream.NewPublisher(redisstream.PublisherConfig{Client: w.newClient(1)}, w.log)
}

// newClient returns a client as go-redis makes it by default: with others
// Watermill's subscriber takes its own stop for an error and pauses.
func (w *Watermill) newClient(size int) *redis.Client {
	return w.lab.NewRedis(size, func(o *redis.Options) { o.ContextTimeoutEnabled = false })
}

// Stock implements Road. It writes what Watermill's publisher would, without
// waiting for the answer to each.
func (w *Watermill) Stock(ctx context.Context, events []Event) error {
	var marshaller redisstream.DefaultMarshallerUnmarshaller
	for len(events) > 0 {
		n := min(len(events), streamSize)
		_, err := w.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, e := range events[:n] {
				values, err := marshaller.Marshal(w.name, newMessage(e))
				if err != nil {
					return err
				}
				p.XAdd(ctx, &redis.XAddArgs{Stream: w.name, Values: values})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		events = events[n:]
	}
	return nil
}

// Streamed implements Road.
func (w *Watermill) Streamed(ctx context.Context) (int64, error) {
	return added(ctx, w.redis, w.name)
}

// Deliver implements Road.
func (w *Watermill) Deliver(ctx context.Context, h Handler) error {
	var wg sync.WaitGroup
	errs := make([]error, max(w.tuning.Subscribers, 1))
	for i := range errs {
		wg.Go(func() { errs[i] = w.subscribe(ctx, h) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (w *Watermill) subscribe(ctx context.Context, h Handler) error {
	sub, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client: w.newClient(4), ConsumerGroup: groupName,
		DisableIndefiniteInitialBlock: true, // or it could not be stopped
	}, w.log)
	if err != nil {
		return err
	}
	deliveries, err := sub.Subscribe(ctx, w.name)
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

// errorLog keeps Watermill's errors and spares it the cost of the rest.
type errorLog struct {
	watermill.NopLogger
	log *slog.Logger
}

// Error implements watermill.LoggerAdapter.
func (l errorLog) Error(text string, err error, _ watermill.LogFields) {
	if !errors.Is(err, context.Canceled) { // it is being stopped
		l.log.Warn("watermill: "+text, "error", err)
	}
}

// With implements watermill.LoggerAdapter.
func (l errorLog) With(watermill.LogFields) watermill.LoggerAdapter { return l }

var (
	_ Road              = (*Floor)(nil)
	_ Road              = (*Ours)(nil)
	_ Road              = (*Watermill)(nil)
	_ message.Publisher = (*redisstream.Publisher)(nil)
)
