package crashlab

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/idempotency"
)

// direct crashes Postgres under writers that use package database themselves: HTTP
// is too slow to show what a crash does to transactions that commit at full speed.
// What was acknowledged must be there; what is unknown is repeated with its key, and
// must be there exactly once.
func (l *lab) direct(ctx context.Context) (string, error) {
	db, err := l.openPostgres(ctx)
	if err != nil {
		return "", err
	}
	defer db.Close()
	if err := errors.Join(db.Migrate(ctx, idempotency.Schema()),
		db.Gorm.Exec(`CREATE TABLE IF NOT EXISTS things (id uuid PRIMARY KEY, n bigint NOT NULL)`).Error); err != nil {
		return "", err
	}
	var next, acknowledged, unknown, refused atomic.Int64
	var done atomic.Bool
	errs := make([]error, l.cfg.Writers)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for !done.Load() && errs[w] == nil {
				n := next.Add(1)
				err := l.make(ctx, db, n)
				for ; errors.Is(err, database.ErrOutcomeUnknown) || database.IsRetryable(err); err = l.make(ctx, db, n) {
					if errors.Is(err, database.ErrOutcomeUnknown) {
						unknown.Add(1)
					} else {
						refused.Add(1)
					}
					wait(ctx, between)
				}
				acknowledged.Add(1)
				errs[w] = err
			}
		})
	}
	var failed error
	for range l.cfg.Direct {
		wait(ctx, shortly+l.moment(shortly))
		if failed = l.crash(ctx); failed != nil {
			break
		}
	}
	done.Store(true)
	wg.Wait()
	if err := errors.Join(append(errs, failed)...); err != nil {
		return "", err
	}
	var rows, distinct int64
	if err := db.Gorm.Raw(`SELECT count(*), count(DISTINCT n) FROM things`).Row().Scan(&rows, &distinct); err != nil {
		return "", err
	}
	figures := fmt.Sprintf("%d acknowledged, %d there; %d were unknown and repeated with their key, %d refused and repeated",
		acknowledged.Load(), rows, unknown.Load(), refused.Load())
	if rows != acknowledged.Load() || distinct != rows {
		return "", fmt.Errorf("%s, %d of them distinct", figures, distinct)
	}
	return figures, nil
}

// crash kills Postgres with all its sessions and starts it again.
func (l *lab) crash(ctx context.Context) error {
	if err := l.stack.chaos(ctx, "kill", "postgres"); err != nil {
		return err
	}
	wait(ctx, l.moment(shortly/3))
	return l.stack.chaos(ctx, "start", "postgres")
}

// make makes the thing n, as a create with an Idempotency-Key does.
func (l *lab) make(ctx context.Context, db *database.DB, n int64) error {
	key := idempotency.Key{Caller: "lab", Value: strconv.FormatInt(n, 10)}
	request, id := idempotency.NewRequest(idempotency.WithKey(ctx, key), key.Value), uuid.New()
	return database.Transaction(ctx, db.Gorm, func(tx *gorm.DB) error {
		if made, err := request.Take(tx, id); err != nil || made != id {
			return err
		}
		return tx.Exec(`INSERT INTO things (id, n) VALUES (?, ?)`, id, n).Error
	})
}

func (l *lab) openPostgres(ctx context.Context) (*database.DB, error) {
	at := slices.IndexFunc(l.stack.parts, func(p part) bool { return p.Service == "postgres" })
	address, err := url.Parse(l.stack.parts[at].URL)
	if err != nil {
		return nil, errors.New("the address of Postgres is no URL")
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		return nil, errors.New("the address of Postgres has no port")
	}
	password, _ := address.User.Password()
	return database.Open(ctx, database.Config{
		Host: address.Hostname(), Port: port, User: address.User.Username(), Password: env.NewSecret(password),
		SSLMode: "disable", PoolMax: l.cfg.Writers, PoolAcquire: 5 * time.Second, PoolIdle: time.Minute,
	}, "postgres")
}
