package durability_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
)

// history is the log of user-service as far as it was read.
type history struct {
	last      map[string]int64 // position read last, by partition
	seen      map[string]bool  // ids of events
	revisions map[string]int   // the last of each user
}

func newHistory() *history {
	return &history{last: map[string]int64{}, seen: map[string]bool{}, revisions: map[string]int{}}
}

// event is an entry of the log.
type event struct {
	ID   string `json:"id"`
	Key  string `json:"key"`
	Data struct {
		Revision int `json:"revision"`
	} `json:"data"`
}

// add appends an event. Each user's revisions, and the positions, must have no gap, no
// repetition and be in order.
func (h *history) add(part string, position int64, e event) error {
	if position != h.last[part]+1 || h.seen[e.ID] || e.Data.Revision != h.revisions[e.Key]+1 {
		return fmt.Errorf("log of partition %s at %d after %d: revision %d of %s after %d, seen %t",
			part, position, h.last[part], e.Data.Revision, e.Key, h.revisions[e.Key], h.seen[e.ID])
	}
	h.last[part], h.seen[e.ID], h.revisions[e.Key] = position, true, e.Data.Revision
	return nil
}

// readLog reads what is new in the log, as a subscriber.
func (l *lab) readLog(ctx context.Context) error {
	type log struct {
		Parts []struct {
			Part string `json:"part"`
		} `json:"parts"`
	}
	ask := map[string]any{"questions": []any{}}
	parts, err := retryFor[log](ctx, l.api, environment.User, http.MethodPost, "/events/log/ask", ask, asSubscriber)
	if err != nil {
		return err
	}
	for _, p := range parts.Parts {
		for more := true; more; {
			if more, err = l.readPage(ctx, p.Part); err != nil {
				return err
			}
		}
	}
	return nil
}

// asSubscriber sends a request to user-service with the token of a subscriber.
func asSubscriber(r *http.Request) {
	r.Header.Set("X-Service-Token", client.Good(environment.Profile, environment.User).Sign(environment.Profile))
}

// asOperator sends a request to profile-service with the operator's token.
func asOperator(r *http.Request) {
	r.Header.Set("X-Service-Token", client.Good("operator", environment.Profile).Sign("operator"))
}

// readPage reads a page of a partition, and reports whether there may be more.
func (l *lab) readPage(ctx context.Context, part string) (bool, error) {
	type page struct {
		Records []struct {
			Pos      int64  `json:"pos,string"`
			Envelope string `json:"envelope"`
		} `json:"records"`
	}
	path := fmt.Sprintf("/events/log?part=%s&after=%d", part, l.log.last[part])
	p, err := retryFor[page](ctx, l.api, environment.User, http.MethodGet, path, nil, asSubscriber)
	if err != nil {
		return false, err
	}
	for _, r := range p.Records {
		var e event
		if err := json.Unmarshal([]byte(r.Envelope), &e); err != nil {
			return false, err
		}
		if err := l.log.add(part, r.Pos, e); err != nil {
			return false, err
		}
	}
	return len(p.Records) > 0, nil
}

// missing counts what the subscriber has yet to handle: events of the log, and users
// whose creation was acknowledged and is not in the log. Parked events are an error.
func (l *lab) missing(ctx context.Context) (int64, error) {
	if err := l.readLog(ctx); err != nil {
		return 0, err
	}
	type status struct {
		Offsets []struct {
			Service   string `json:"service"`
			Partition string `json:"partition"`
			Position  int64  `json:"position"`
		} `json:"offsets"`
		Parked map[string]int64 `json:"parked"`
	}
	s, err := retryFor[status](ctx, l.api, environment.Profile, http.MethodGet, statusPath, nil, asOperator)
	if err != nil {
		return 0, err
	}
	var missing int64
	for _, last := range l.log.last {
		missing += last
	}
	for _, o := range s.Offsets {
		if o.Service == environment.User {
			missing -= min(o.Position, l.log.last[o.Partition])
		}
	}
	for id := range l.acked {
		if l.log.revisions[id] == 0 {
			missing++
		}
	}
	for state, n := range s.Parked {
		if n > 0 {
			return missing, fmt.Errorf("%d keys are %s", n, state)
		}
	}
	return missing, nil
}
