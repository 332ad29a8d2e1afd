package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/events"
)

const (
	readCount = 256
	readBlock = 500 * time.Millisecond
)

// Redis is the streams of an environment.
type Redis struct {
	dial func() redis.UniversalClient
	env  string
}

// NewRedis returns the streams of an environment. dial returns a dedicated client
// for each reader, which waits on its only connection.
func NewRedis(dial func() redis.UniversalClient, env string) *Redis { return &Redis{dial, env} }

// Open implements [Streams].
func (r *Redis) Open(source string, part int64) StreamReader {
	return &streamReader{client: r.dial(), stream: events.StreamName(r.env, source, part)}
}

type streamReader struct {
	client redis.UniversalClient
	stream string
}

// Read implements [StreamReader]. A key that is not a stream reads as an error.
func (r *streamReader) Read(ctx context.Context, part events.Part, pos int64) ([]events.Entry, error) {
	// The client does not give up a blocked read when its context ends.
	defer context.AfterFunc(ctx, func() { r.client.Close() })()
	bounded, cancel := context.WithTimeout(ctx, 10*readBlock)
	defer cancel()
	streams, err := r.client.XRead(bounded, &redis.XReadArgs{
		Streams: []string{r.stream, events.EntryID(pos)}, Count: readCount, Block: readBlock,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r.stream, err)
	}
	sealer := events.NewSealer(part)
	var entries []events.Entry
	for _, m := range streams[0].Messages {
		e, ok := events.DecodeEntry(m.ID, m.Values)
		if !ok || !sealer.Verify(e) {
			e = events.Entry{Position: events.Position{Pos: Forged}}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Close implements [StreamReader].
func (r *streamReader) Close() error {
	if err := r.client.Close(); !errors.Is(err, redis.ErrClosed) {
		return err
	}
	return nil
}
