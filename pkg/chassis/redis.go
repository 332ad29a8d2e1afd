package chassis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/go-troika/troika/pkg/env"
)

func (c *Chassis) openRedis(context.Context) error {
	opts, err := c.Config.redisOptions()
	if err != nil {
		return err
	}
	redis.SetLogger(redisLog{c.Log})
	claiming := *opts
	claiming.PoolSize = 1
	unhooked := redis.NewUniversalClient(&claiming)
	c.claim = newClaim(c.Config, c.DB, unhooked, c.Log)
	c.redis = c.newRedis(opts)
	c.onClose("redis", func(context.Context) error { return errors.Join(c.redis.Close(), unhooked.Close()) })
	return nil
}

// newRedis returns a client that uses only a Redis that has no other owner.
func (c *Chassis) newRedis(opts *redis.UniversalOptions) redis.UniversalClient {
	opts.OnConnect = c.claim.OnConnect
	client := redis.NewUniversalClient(opts)
	client.AddHook(redisObserver{c.Metrics})
	client.AddHook(c.claim)
	return client
}

var errRedisURL = errors.New("is not a Redis URL (redis[s]://[user:password@]host:port[/db]" +
	"[?addr=host:port for each further node of a cluster][?master_name=NAME for Sentinel])")

// redisOptions parses REDIS_URL: one server, further nodes of a Redis Cluster or
// further sentinels as addr, and the name of the primary that sentinels monitor as
// master_name; REDIS_PASSWORD, and REDIS_CA. An error does not contain the URL, which has a password.
func (c Config) redisOptions() (*redis.UniversalOptions, error) {
	u, err := url.Parse(c.RedisURL.Reveal())
	if err != nil {
		return nil, env.Invalid("REDIS_URL", "%v", errRedisURL)
	}
	query := u.Query()
	more, master := query["addr"], query.Get("master_name")
	query.Del("addr")
	query.Del("master_name")
	u.RawQuery = query.Encode()
	one, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, env.Invalid("REDIS_URL", "%v", errRedisURL)
	}
	if err := c.redisTLS(one.TLSConfig); err != nil {
		return nil, err
	}
	switch password := c.RedisPassword.Reveal(); {
	case password != "" && one.Password != "":
		return nil, env.Invalid("REDIS_PASSWORD", "is set, and REDIS_URL has a password, too")
	case password != "":
		one.Password = password
	case one.Password == "" && !c.IsDemo():
		return nil, env.Invalid("REDIS_PASSWORD", "is required outside development and test")
	}
	return &redis.UniversalOptions{
		Addrs: append([]string{one.Addr}, more...), MasterName: master,
		Username: one.Username, Password: one.Password, DB: one.DB, TLSConfig: one.TLSConfig,
		ContextTimeoutEnabled: true, DialTimeout: time.Second,
		// The user needs no right to CLIENT SETINFO, and no supported server sends these notifications.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}, nil
}

// redisTLS completes the TLS configuration of a rediss URL; it is nil for another. Certificates
// are always verified, for the host that is connected to.
func (c Config) redisTLS(tls *tls.Config) error {
	switch pem := c.RedisCA.Reveal(); {
	case tls == nil && pem != "":
		return env.Invalid("REDIS_CA", "is set, but REDIS_URL is not a rediss URL")
	case tls == nil:
		return nil
	case tls.InsecureSkipVerify:
		return env.Invalid("REDIS_URL", "skip_verify is refused; set REDIS_CA to the CA's certificate")
	case pem != "":
		tls.RootCAs = x509.NewCertPool()
		if !tls.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return env.Invalid("REDIS_CA", "has no certificate in PEM format")
		}
	}
	tls.ServerName = ""
	return nil
}

// redisLog writes the log of go-redis, lines about lost connections and the like, to the
// service's log. It is set for the whole process.
type redisLog struct{ *slog.Logger }

// Printf implements go-redis' logger.
func (l redisLog) Printf(ctx context.Context, format string, args ...any) {
	l.WarnContext(ctx, "redis client", "message", fmt.Sprintf(format, args...))
}
