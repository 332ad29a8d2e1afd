package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const leaseTime = time.Hour // longer than any run

// ErrNoRedis is returned when all numbered databases of the Redis are in use.
var ErrNoRedis = errors.New("no Redis database is free")

// LeaseRedis takes one of the server's numbered databases for this run alone, by
// the keys with which testkit's tests do, and empties it. It gives its URL, with
// the password in it, and what gives it back.
func (l *Lab) LeaseRedis(ctx context.Context) (address string, giveBack func() error, err error) {
	directory := l.redisAt(0) // where the leases stand, whichever database is ours
	defer directory.Close()
	for n := 1; n < 16; n++ {
		key := fmt.Sprintf("testkit:lease:%d", n)
		_, err := directory.SetArgs(ctx, key, "bench", redis.SetArgs{Mode: "NX", TTL: leaseTime}).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("lease a Redis database: %w", err)
		}
		giveBack := func() error { return errors.Join(l.emptyRedis(n), l.endLease(key)) }
		return l.redisURL(n), giveBack, l.emptyRedis(n)
	}
	return "", nil, ErrNoRedis
}

func (l *Lab) redisAt(n int) *redis.Client {
	opts := *l.opts
	opts.DB = n
	return redis.NewClient(&opts)
}

func (l *Lab) emptyRedis(n int) error {
	client := l.redisAt(n)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := client.FlushDB(ctx).Err(); err != nil {
		return fmt.Errorf("empty a Redis database: %w", err)
	}
	return nil
}

func (l *Lab) endLease(key string) error {
	directory := l.redisAt(0)
	defer directory.Close()
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := directory.Del(ctx, key).Err(); err != nil {
		return fmt.Errorf("end the lease of a Redis database: %w", err)
	}
	return nil
}

func (l *Lab) redisURL(n int) string {
	u := url.URL{Scheme: "redis", Host: l.opts.Addr, Path: "/" + strconv.Itoa(n)}
	if _, _, err := net.SplitHostPort(l.opts.Addr); err != nil {
		u.Host = net.JoinHostPort(l.opts.Addr, "6379")
	}
	if l.opts.Password != "" {
		u.User = url.UserPassword(l.opts.Username, l.opts.Password)
	}
	return u.String()
}
