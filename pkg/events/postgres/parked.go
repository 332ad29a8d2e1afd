package postgres

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/events/consumer"
)

// Park implements [consumer.Tx].
func (t *transaction) Park(k consumer.Key, d time.Duration, reason string, p consumer.Parked, event string) error {
	_, err := t.conn.ExecContext(t.ctx, `
INSERT INTO event_keys (consumer, source, key, state, attempts, next_at, error)
VALUES ($1, $2, $3, $4, $5, clock_timestamp() + $6 * interval '1 second', $7) ON CONFLICT DO NOTHING`,
		t.name, k.Source, k.Key, k.State, k.Attempts, d.Seconds(), reason)
	if err == nil {
		_, err = t.conn.ExecContext(t.ctx, `
INSERT INTO event_parked (consumer, source, key, event_id, event, part, pos, mark, envelope)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			t.name, k.Source, k.Key, p.ID.String(), event, p.Part, p.Pos, int64(p.Mark), p.Envelope)
	}
	if database.IsForeignKey(err) {
		return consumer.ErrKeyGone
	}
	return err
}

// Unpark implements [consumer.Tx].
func (t *transaction) Unpark(source, key string) error {
	for _, query := range []string{
		`SELECT 1 FROM event_keys WHERE consumer = $1 AND source = $2 AND key = $3 FOR UPDATE`,
		`DELETE FROM event_parked WHERE consumer = $1 AND source = $2 AND key = $3`,
		`DELETE FROM event_keys WHERE consumer = $1 AND source = $2 AND key = $3`,
	} {
		if _, err := t.conn.ExecContext(t.ctx, query, t.name, source, key); err != nil {
			return fmt.Errorf("remove parked events: %w", err)
		}
	}
	return nil
}

// Keys are locked so that a batch can park behind them meanwhile: its foreign key
// takes a lock that FOR NO KEY UPDATE leaves room for.
const readKey = `
SELECT source, key, state, attempts, greatest(extract(epoch FROM clock_timestamp() - since), 0) FROM event_keys
WHERE consumer = $1 AND `

// LockDue implements [consumer.Tx].
func (t *transaction) LockDue() (consumer.Key, bool, error) {
	return t.lockKey(readKey+`state <> 'dead'
AND (next_at <= clock_timestamp() OR next_at > clock_timestamp() + interval '15 minutes')
ORDER BY next_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED`, t.name)
}

// LockKey implements [consumer.Tx].
func (t *transaction) LockKey(source, key string) (consumer.Key, bool, error) {
	return t.lockKey(readKey+`source = $2 AND key = $3 FOR NO KEY UPDATE`, t.name, source, key)
}

func (t *transaction) lockKey(query string, args ...any) (k consumer.Key, ok bool, err error) {
	var seconds float64
	err = t.conn.QueryRowContext(t.ctx, query, args...).Scan(&k.Source, &k.Key, &k.State, &k.Attempts, &seconds)
	if errors.Is(err, sql.ErrNoRows) {
		return k, false, nil
	}
	if err != nil {
		return k, false, fmt.Errorf("lock key: %w", err)
	}
	k.Age = time.Duration(seconds * float64(time.Second))
	return k, true, nil
}

// First implements [consumer.Tx].
func (t *transaction) First(source, key string) (p consumer.Parked, ok bool, err error) {
	err = t.conn.QueryRowContext(t.ctx, `
SELECT id, part, pos, mark, event_id, key, envelope FROM event_parked
WHERE consumer = $1 AND source = $2 AND key = $3 ORDER BY id LIMIT 1`, t.name, source, key).
		Scan(&p.Number, &p.Part, &p.Pos, &p.Mark, &p.ID, &p.Key, &p.Envelope)
	if errors.Is(err, sql.ErrNoRows) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("read parked event: %w", err)
	}
	return p, true, nil
}

// Remove implements [consumer.Tx].
func (t *transaction) Remove(source, key string, number int64) error {
	_, err := t.conn.ExecContext(t.ctx, `
WITH gone AS (DELETE FROM event_parked WHERE id = $4)
UPDATE event_keys SET state = 'waiting', attempts = 0, since = clock_timestamp(), next_at = clock_timestamp(), error = ''
WHERE consumer = $1 AND source = $2 AND key = $3`, t.name, source, key, number)
	if err != nil {
		return fmt.Errorf("remove parked event: %w", err)
	}
	return nil
}

// Postpone implements [consumer.Tx].
func (t *transaction) Postpone(k consumer.Key, d time.Duration, reason string) error {
	_, err := t.conn.ExecContext(t.ctx, `
UPDATE event_keys SET state = $4, attempts = $5, error = $6, next_at = clock_timestamp() + $7 * interval '1 second'
WHERE consumer = $1 AND source = $2 AND key = $3`, t.name, k.Source, k.Key, k.State, k.Attempts, reason, d.Seconds())
	if err != nil {
		return fmt.Errorf("postpone parked event: %w", err)
	}
	return nil
}
