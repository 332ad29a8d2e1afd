package crashlab

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/go-troika/troika/e2e/world"
)

type user struct {
	ID    string `json:"id,omitempty"`
	Email string `json:"email,omitempty"`
	Name  string `json:"name"`
}

type profile struct {
	UserID      string `json:"userId"`
	DisplayName string `json:"displayName"`
}

// event is what the log of user-service holds of one change.
type event struct {
	Event string `json:"event"`
	ID    string `json:"id"`
	Key   string `json:"key"`
	Data  struct {
		Name     string `json:"name"`
		Revision int    `json:"revision"`
	} `json:"data"`
}

// compare wants users, events and profiles to tell the same.
func (l *lab) compare(ctx context.Context) error {
	users, err := pages[user](ctx, l.client, world.User, "/users")
	if err != nil {
		return err
	}
	profiles, err := pages[profile](ctx, l.client, world.Profile, "/profiles")
	if err != nil {
		return err
	}
	revisions, events, err := l.readLog(ctx)
	if err != nil {
		return err
	}
	if len(users) != l.users || len(revisions) != len(users) || len(profiles) != len(users) {
		return fmt.Errorf("%d users of %d, %d of them in the log, %d profiles", len(users), l.users, len(revisions), len(profiles))
	}
	shown := map[string]string{}
	for _, p := range profiles {
		shown[p.UserID] = p.DisplayName
	}
	for _, u := range users {
		if shown[u.ID] != u.Name {
			return fmt.Errorf("user %s is called %q, and the profile %q", u.ID, u.Name, shown[u.ID])
		}
	}
	fmt.Fprintf(l.out, "%d users = %d in the log = %d profiles; %d events, each once, in order\n",
		len(users), len(revisions), len(profiles), events)
	return nil
}

// readLog reads all of the log, as a subscriber may. It wants each user's
// revisions without gap, repetition or disorder, and gives the last of each.
func (l *lab) readLog(ctx context.Context) (map[string]int, int, error) {
	const partitions, limit = 4, 256
	revisions, seen := map[string]int{}, map[string]bool{}
	for part := range partitions {
		for after := int64(0); ; {
			var page struct {
				Items []struct {
					Position int64           `json:"position"`
					Envelope json.RawMessage `json:"envelope"`
				} `json:"items"`
			}
			path := fmt.Sprintf("/events?partition=%d&after=%d&limit=%d", part, after, limit)
			status, err := l.client.call(ctx, world.Profile, world.User, http.MethodGet, path, nil, &page)
			if err != nil || status != http.StatusOK {
				return nil, 0, fmt.Errorf("read log: status %d, %w", status, err)
			}
			for _, item := range page.Items {
				var e event
				if err := json.Unmarshal(item.Envelope, &e); err != nil {
					return nil, 0, err
				}
				if item.Position != after+1 || seen[e.ID] || e.Data.Revision != revisions[e.Key]+1 {
					return nil, 0, fmt.Errorf("log of partition %d at %d: revision %d of %s after %d", part, item.Position, e.Data.Revision, e.Key, revisions[e.Key])
				}
				after, seen[e.ID], revisions[e.Key] = item.Position, true, e.Data.Revision
			}
			if len(page.Items) == 0 {
				break
			}
		}
	}
	return revisions, len(seen), nil
}
