package events

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-troika/troika/pkg/fault"
)

// ErrNoSuchGroup: no stream of the service has this consumer group.
var ErrNoSuchGroup = fault.New(fault.NotFound, "no_such_group", "No such consumer group")

// Group is where a consumer group stands in one partition of this service's
// events, as the leading relay saw it at SeenAt, every few seconds.
type Group struct {
	Consumer     string    `json:"consumer"`
	Partition    int       `json:"partition"`
	Acknowledged string    `json:"acknowledged"` // last entry that it needs no more
	Lag          int64     `json:"lag"`          // events published behind that entry
	Pending      int64     `json:"pending"`      // of them, those delivered to it
	SeenAt       time.Time `json:"seenAt"`
}

// Groups lists the consumer groups of the service's streams.
func (r *Relay) Groups(ctx context.Context) ([]Group, error) {
	rows, err := r.db.Gorm.Statement.ConnPool.QueryContext(ctx, `
SELECT g.consumer, g.part, g.gen, g.pos, greatest(s.last_pos - g.pos, 0), g.pending, g.seen_at
FROM event_groups g JOIN event_streams s USING (part) ORDER BY g.consumer, g.part`)
	if err != nil {
		return nil, fmt.Errorf("list consumer groups: %w", err)
	}
	defer rows.Close()
	list := []Group{}
	for rows.Next() {
		var g Group
		var at position
		if err := rows.Scan(&g.Consumer, &g.Partition, &at.gen, &at.pos, &g.Lag, &g.Pending, &g.SeenAt); err != nil {
			return nil, fmt.Errorf("list consumer groups: %w", err)
		}
		g.Acknowledged, g.SeenAt = at.String(), g.SeenAt.UTC()
		list = append(list, g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list consumer groups: %w", err)
	}
	return list, nil
}

// Forget removes the group of a consumer that is gone for good, so that nothing
// is kept for it any more. A consumer that is alive after all loses nothing: it
// makes its group again where it stands, and gets from the log what was trimmed.
func (r *Relay) Forget(ctx context.Context, consumer string) error {
	known := false
	parts, err := r.parts(ctx)
	if err != nil {
		return err
	}
	for _, part := range parts {
		destroyed, err := r.redis.XGroupDestroy(ctx, StreamName(r.outbox.service, part), consumer).Result()
		if err != nil && !strings.Contains(err.Error(), "requires the key to exist") {
			return fmt.Errorf("destroy consumer group: %w", err)
		}
		known = known || destroyed > 0
	}
	result, err := r.db.Gorm.Statement.ConnPool.ExecContext(ctx, `DELETE FROM event_groups WHERE consumer = $1`, consumer)
	if err != nil {
		return fmt.Errorf("forget consumer group: %w", err)
	}
	n, err := result.RowsAffected()
	switch {
	case err != nil:
		return fmt.Errorf("forget consumer group: %w", err)
	case n == 0 && !known:
		return ErrNoSuchGroup
	}
	r.log.WarnContext(ctx, "consumer group forgotten", "consumer", consumer)
	return nil
}

func (r *Relay) parts(ctx context.Context) ([]int, error) {
	var parts []int
	err := r.db.Gorm.WithContext(ctx).Raw(`SELECT part FROM event_streams ORDER BY part`).Scan(&parts).Error
	if err != nil {
		return nil, fmt.Errorf("read event streams: %w", err)
	}
	return parts, nil
}
