package durability

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-troika/troika/e2e/front"
	"github.com/go-troika/troika/e2e/world"
)

// history is what was read of the log of user-service.
type history struct {
	last      map[string]int64 // position read last, by partition
	seen      map[string]bool  // ids of events
	revisions map[string]int   // the last of each user
}

func newHistory() *history {
	return &history{last: map[string]int64{}, seen: map[string]bool{}, revisions: map[string]int{}}
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
func (h *history) add(part string, position int64, e event) error {
	if position != h.last[part]+1 || h.seen[e.ID] || e.Data.Revision != h.revisions[e.Key]+1 {
		return fmt.Errorf("log of partition %s at %d after %d: revision %d of %s after %d, seen %t",
			part, position, h.last[part], e.Data.Revision, e.Key, h.revisions[e.Key], h.seen[e.ID])
	}
	h.last[part], h.seen[e.ID], h.revisions[e.Key] = position, true, e.Data.Revision
	return nil
}

// readLog reads what is new in the log, as a subscriber may.
func (l *lab) readLog(ctx context.Context) error {
	var log struct {
		Parts []struct {
			Part string `json:"part"`
		} `json:"parts"`
	}
	ask := map[string]any{"questions": []any{}}
	status, err := l.client.call(ctx, world.Profile, world.User, http.MethodPost, "/events/log/ask", ask, &log)
	if err != nil || status != http.StatusOK {
		return unlike("read log", status, err)
	}
	for _, p := range log.Parts {
		for more := true; more; {
			if more, err = l.readPage(ctx, p.Part); err != nil {
				return err
			}
		}
	}
	return nil
}

// readPage reads a page of a partition, and reports whether there may be more.
func (l *lab) readPage(ctx context.Context, part string) (bool, error) {
	var page struct {
		Records []struct {
			Pos      int64  `json:"pos,string"`
			Envelope string `json:"envelope"`
		} `json:"records"`
	}
	path := fmt.Sprintf("/events/log?part=%s&after=%d", part, l.log.last[part])
	status, err := l.client.call(ctx, world.Profile, world.User, http.MethodGet, path, nil, &page)
	if err != nil || status != http.StatusOK {
		return false, unlike("read log", status, err)
	}
	for _, r := range page.Records {
		var e event
		if err := json.Unmarshal([]byte(r.Envelope), &e); err != nil {
			return false, err
		}
		if err := l.log.add(part, r.Pos, e); err != nil {
			return false, err
		}
	}
	return len(page.Records) > 0, nil
}

// missing counts what the subscriber has yet to handle: of the log, and of users
// whose creation was answered and is not in the log. Events set aside are an
// error.
func (l *lab) missing(ctx context.Context) (int64, error) {
	if err := l.readLog(ctx); err != nil {
		return 0, err
	}
	var status struct {
		Offsets []struct {
			Service   string `json:"service"`
			Partition string `json:"partition"`
			Position  int64  `json:"position"`
		} `json:"offsets"`
		Parked map[string]int64 `json:"parked"`
	}
	code, err := l.client.call(ctx, front.Caller, world.Profile, http.MethodGet, statusPath, nil, &status)
	if err != nil || code != http.StatusOK {
		return 0, unlike("read consumer's status", code, err)
	}
	var missing int64
	for _, last := range l.log.last {
		missing += last
	}
	for _, o := range status.Offsets {
		if o.Service == world.User {
			missing -= min(o.Position, l.log.last[o.Partition])
		}
	}
	for id := range l.acked {
		if l.log.revisions[id] == 0 {
			missing++
		}
	}
	for state, n := range status.Parked {
		if n > 0 {
			return missing, fmt.Errorf("%d keys are %s", n, state)
		}
	}
	return missing, nil
}
