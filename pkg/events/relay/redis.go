package relay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-troika/troika/pkg/events"
)

// Redis is the streams of a service's events. Every command has one key, so that
// it works on a Redis Cluster, too.
type Redis struct {
	client  redis.UniversalClient
	env     string
	service string
}

// NewRedis returns the streams of a service in an environment.
func NewRedis(client redis.UniversalClient, env, service string) *Redis {
	return &Redis{client, env, service}
}

// redisTime bounds one exchange with Redis, of any number of streams.
const redisTime = 5 * time.Second

func (r *Redis) stream(part int64) string { return events.StreamName(r.env, r.service, part) }

// Ends implements [Streams].
func (r *Redis) Ends(ctx context.Context, parts []int64) ([]End, error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	pipe := r.client.Pipeline()
	infos := make([]*redis.XInfoStreamCmd, len(parts))
	for i, part := range parts {
		infos[i] = pipe.XInfoStream(ctx, r.stream(part))
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("read ends of streams: %w", err)
	}
	ends := make([]End, len(parts))
	for i, info := range infos {
		var err error
		if ends[i], err = endOf(info); err != nil {
			return nil, fmt.Errorf("read end of %s: %w", r.stream(parts[i]), err)
		}
	}
	return ends, nil
}

// exec sends the commands of pipe. Each has its own error; the result is one of
// the whole exchange, of which they know nothing.
func exec(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, err := pipe.Exec(ctx)
	for _, cmd := range cmds {
		if cmd.Err() != nil {
			return nil
		}
	}
	return err
}

func endOf(cmd *redis.XInfoStreamCmd) (End, error) {
	info, err := cmd.Result()
	switch {
	case err != nil && strings.Contains(err.Error(), "no such key"):
		return End{}, nil
	case err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return End{Exists: true, Foreign: true}, nil
	case err != nil:
		return End{}, err
	}
	end := End{Exists: true}
	generated, ok := events.ParseEntryID(info.LastGeneratedID)
	last, okLast := events.DecodeEntry(info.LastEntry.ID, info.LastEntry.Values)
	end.Generated, end.Last, end.Foreign = generated, last.Position, !ok || !okLast
	return end, nil
}

// Append implements [Streams]. Redis refuses an id that is not above the last,
// which makes a repeated append harmless.
func (r *Redis) Append(ctx context.Context, batches []Batch, limit int64) (refused []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	added := map[int64][]*redis.StringCmd{}
	pipe := r.client.Pipeline()
	for _, b := range batches {
		part, sealer := b.Part.Number, events.NewSealer(b.Part)
		for _, rec := range b.Records {
			added[part] = append(added[part], pipe.XAdd(ctx, &redis.XAddArgs{
				Stream: r.stream(part), ID: events.EntryID(rec.Pos), Values: events.EncodeEntry(sealer, rec), MaxLen: limit, Approx: true,
			}))
		}
	}
	if err := exec(ctx, pipe); err != nil {
		return nil, fmt.Errorf("append to streams: %w", err)
	}
	for part, cmds := range added {
		no, err := anyRefused(cmds)
		if err != nil && strings.HasPrefix(err.Error(), "OOM") {
			_ = r.client.XTrimMaxLenApprox(ctx, r.stream(part), limit/10, 0).Err() // the log has it all
		}
		if err != nil {
			return nil, fmt.Errorf("append to %s: %w", r.stream(part), err)
		}
		if no {
			refused = append(refused, part)
		}
	}
	return refused, nil
}

// anyRefused reports whether Redis refused an entry because the stream has changed. Any
// other error is returned.
func anyRefused(cmds []*redis.StringCmd) (refused bool, err error) {
	for _, cmd := range cmds {
		switch err := cmd.Err(); {
		case err == nil:
		case strings.HasPrefix(err.Error(), "WRONGTYPE"), strings.Contains(err.Error(), "equal or smaller than the target stream"):
			refused = true
		default:
			return refused, err
		}
	}
	return refused, nil
}

// Delete implements [Streams].
func (r *Redis) Delete(ctx context.Context, parts []int64) error {
	ctx, cancel := context.WithTimeout(ctx, redisTime)
	defer cancel()
	var errs []error
	for _, part := range parts {
		errs = append(errs, r.client.Unlink(ctx, r.stream(part)).Err())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("delete streams: %w", err)
	}
	return nil
}
