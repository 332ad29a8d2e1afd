package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/pkg/events"
)

// What is to be erased is found in the log alone, so a crash, a restored backup or an
// outage leaves nothing out.
const (
	eraseKeys = 100 // erasing events looked at in one transaction
	eraseRows = 50  // and rows redacted, which may have 256 KiB each

	// due are the oldest erasing events.
	due = `(SELECT e.part, e.pos, e.key, p.layout FROM event_log e JOIN event_parts p ON p.part = e.part
	WHERE e.erases ORDER BY e.part, e.pos LIMIT $1) e`

	// earlier are the events that one of them erases: earlier in its part, or in one of an
	// earlier layout.
	earlier = `event_log l JOIN event_parts lp ON lp.part = l.part
	WHERE l.personal AND l.key = e.key AND (l.part = e.part AND l.pos < e.pos OR lp.layout < e.layout)`

	readErasable = `SELECT l.part, l.pos, l.mark, l.event_id, l.key, l.envelope FROM ` + due + `
CROSS JOIN LATERAL (SELECT l.* FROM ` + earlier + ` LIMIT $2) l LIMIT $2`

	redact = `
UPDATE event_log l SET envelope = r.envelope, personal = false
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) r (part, pos, mark, envelope)
WHERE l.part = r.part AND l.pos = r.pos AND l.mark = r.mark AND l.personal`

	markErased = `
UPDATE event_log done SET erases = false FROM ` + due + `
WHERE done.part = e.part AND done.pos = e.pos AND NOT EXISTS (SELECT 1 FROM ` + earlier + `)`
)

// Erase implements [relay.Database].
func (l *Log) Erase(ctx context.Context) (n int64, more bool, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, settings); err != nil {
			return err
		}
		found, err := readPersonal(ctx, tx)
		if err != nil {
			return err
		}
		if len(found.parts) > 0 {
			done, err := tx.Exec(ctx, redact, found.parts, found.positions, found.marks, found.envelopes)
			n, more = done.RowsAffected(), true
			return err
		}
		done, err := tx.Exec(ctx, markErased, eraseKeys)
		more = done.RowsAffected() == eraseKeys
		return err
	})
	if err != nil {
		return 0, false, wrap("redact event log", err)
	}
	return n, more, nil
}

// redactions are rows of the log with their redacted envelopes.
type redactions struct {
	parts, positions, marks []int64
	envelopes               []string
}

func readPersonal(ctx context.Context, tx pgx.Tx) (found redactions, err error) {
	rows, err := tx.Query(ctx, readErasable, eraseKeys, eraseRows)
	if err != nil {
		return found, err
	}
	var part, mark int64
	var r events.Record
	_, err = pgx.ForEachRow(rows, []any{&part, &r.Pos, &mark, &r.ID, &r.Key, &r.Envelope}, func() error {
		found.parts, found.positions = append(found.parts, part), append(found.positions, r.Pos)
		found.marks, found.envelopes = append(found.marks, mark), append(found.envelopes, r.Redact())
		return nil
	})
	return found, err
}
