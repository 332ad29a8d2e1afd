package events

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/pkg/database"
)

// openSession opens a connection whose advisory locks stand for this process.
func openSession(ctx context.Context, db *database.DB) (*pgx.Conn, error) {
	conn, err := db.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `SET idle_session_timeout = '`+sessionIdle+`'`); err != nil {
		closeSession(conn)
		return nil, fmt.Errorf("prepare session: %w", err)
	}
	return conn, nil
}

// closeSession ends the session, and its locks, also when the caller's context
// is done already.
func closeSession(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the server notices either way
}

// lockClass is the first half of the advisory locks for a purpose.
func lockClass(purpose, name string) int32 {
	return hash32("troika:" + purpose + ":" + name)
}

func hash32(s string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return int32(h.Sum32())
}

// pause waits for d or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
