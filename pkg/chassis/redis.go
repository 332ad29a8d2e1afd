package chassis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

func (c *Chassis) openRedis(context.Context) error {
	opts, err := redisOptions(c.Config.RedisURL.Reveal())
	if err != nil {
		return err
	}
	redis.SetLogger(redisLog{c.Log})
	c.redis = redis.NewUniversalClient(opts)
	c.onClose("redis", func(context.Context) error { return c.redis.Close() })
	return nil
}

var errRedisURL = errors.New("is not a Redis URL (redis[s]://[user:password@]host:port[/db]" +
	"[?addr=host:port for each further node of a cluster][?master_name=NAME for Sentinel])")

// redisOptions parses REDIS_URL: one server, further nodes of a Redis Cluster or
// further sentinels as addr, and the name of the primary that sentinels monitor as
// master_name. An error does not contain the URL, which has a password.
func redisOptions(raw string) (*redis.UniversalOptions, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errRedisURL
	}
	query := u.Query()
	more, master := query["addr"], query.Get("master_name")
	query.Del("addr")
	query.Del("master_name")
	u.RawQuery = query.Encode()
	one, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errRedisURL
	}
	return &redis.UniversalOptions{
		Addrs: append([]string{one.Addr}, more...), MasterName: master,
		Username: one.Username, Password: one.Password, DB: one.DB, TLSConfig: one.TLSConfig,
		ContextTimeoutEnabled: true, DialTimeout: time.Second,
		// None of the supported servers sends these notifications.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

// redisLog writes the log of go-redis, lines about lost connections and the like, to the
// service's log. It is set for the whole process.
type redisLog struct{ *slog.Logger }

// Printf implements go-redis' logger.
func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.WarnContext(ctx, "redis client", "message", fmt.Sprintf(format, args...))
}
