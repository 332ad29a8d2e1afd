package crashlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-troika/troika/e2e/front"
	"github.com/go-troika/troika/e2e/world"
)

// partitions is EVENT_PARTITIONS' default.
const partitions = 4

// history is what was read of the log of user-service.
type history struct {
	last      [partitions]int64 // position read last
	seen      map[string]bool   // ids of events
	revisions map[string]int    // the last of each user
}

func newHistory() *history {
	return &history{seen: map[string]bool{}, revisions: map[string]int{}}
}

// event is what the log holds of one change.
type event struct {
	ID   string `json:"id"`
	Key  string `json:"key"`
	Data struct {
		Revision int `json:"revision"`
	} `json:"data"`
}

// add wants each user's revisions without gap, repetition or disorder, and
// positions without gap.
func (h *history) add(part int, position int64, e event) error {
	if position != h.last[part]+1 || h.seen[e.ID] || e.Data.Revision != h.revisions[e.Key]+1 {
		return fmt.Errorf("log of partition %d at %d after %d: revision %d of %s after %d, seen %t",
			part, position, h.last[part], e.Data.Revision, e.Key, h.revisions[e.Key], h.seen[e.ID])
	}
	h.last[part], h.seen[e.ID], h.revisions[e.Key] = position, true, e.Data.Revision
	return nil
}

// readLog reads what is new in the log, as a subscriber may.
func (l *lab) readLog(ctx context.Context) error {
	for part := range partitions {
		for {
			var page struct {
				Items []struct {
					Position int64           `json:"position"`
					Envelope json.RawMessage `json:"envelope"`
				} `json:"items"`
			}
			path := fmt.Sprintf("/events?partition=%d&after=%d&limit=256", part, l.log.last[part])
			status, err := l.client.call(ctx, world.Profile, world.User, http.MethodGet, path, nil, &page)
			if err != nil || status != http.StatusOK {
				return unlike("read log", status, err)
			}
			for _, item := range page.Items {
				var e event
				if err := json.Unmarshal(item.Envelope, &e); err != nil {
					return err
				}
				if err := l.log.add(part, item.Position, e); err != nil {
					return err
				}
			}
			if len(page.Items) == 0 {
				break
			}
		}
	}
	return nil
}

// missing counts what the subscriber has yet to handle: of the log, and of users
// whose creation was answered and is not in the log. Events set aside are an
// error.
func (l *lab) missing(ctx context.Context) (int64, error) {
	if err := l.readLog(ctx); err != nil {
		return 0, err
	}
	var status struct {
		Offsets map[string]string `json:"offsets"`
		Parked  map[string]int64  `json:"parked"`
	}
	code, err := l.client.call(ctx, front.Caller, world.Profile, http.MethodGet, "/events/status", nil, &status)
	if err != nil || code != http.StatusOK {
		return 0, unlike("read consumer's status", code, err)
	}
	var missing int64
	for part, last := range l.log.last {
		_, pos, _ := strings.Cut(status.Offsets[fmt.Sprintf("events:{%s:%d}", world.User, part)], "-")
		at, err := strconv.ParseInt(pos, 10, 64)
		if err != nil && last > 0 {
			return 0, fmt.Errorf("offset of partition %d: %w", part, err)
		}
		missing += max(last-at, 0)
	}
	for id := range l.acked {
		if l.log.revisions[id] == 0 {
			missing++
		}
	}
	for state, n := range status.Parked {
		if n > 0 {
			return missing, fmt.Errorf("%d events are %s", n, state)
		}
	}
	return missing, nil
}
