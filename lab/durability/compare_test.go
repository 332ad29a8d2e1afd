package durability_test

import (
	"context"
	"fmt"

	"github.com/go-troika/troika/e2e/client"
	"github.com/go-troika/troika/e2e/environment"
)

type profile struct {
	UserID      string `json:"userId"`
	DisplayName string `json:"displayName"`
}

// compare compares users, events and profiles: each user that was acknowledged exists,
// each that exists has its events and its profile, and there are no others.
func (l *lab) compare(ctx context.Context) (string, error) {
	users, err := list[client.User](ctx, l.api, environment.User, "/users")
	if err != nil {
		return "", err
	}
	profiles, err := list[profile](ctx, l.api, environment.Profile, "/profiles")
	if err != nil {
		return "", err
	}
	if err := l.readLog(ctx); err != nil {
		return "", err
	}
	counts := fmt.Sprintf("%d users of %d = %d in the log = %d profiles; %d events, each once, in order",
		len(users), l.users, len(l.log.revisions), len(profiles), len(l.log.seen))
	if len(users) != l.users || len(l.log.revisions) != len(users) || len(profiles) != len(users) {
		return counts, fmt.Errorf("differ: %s", counts)
	}
	shown := map[string]string{}
	for _, p := range profiles {
		shown[p.UserID] = p.DisplayName
	}
	lost := len(l.acked)
	for _, u := range users {
		if l.acked[u.ID] {
			lost--
		}
		if l.log.revisions[u.ID] == 0 {
			return counts, fmt.Errorf("user %s is not in the log", u.ID)
		}
		if shown[u.ID] != u.Name {
			return counts, fmt.Errorf("user %s is called %q, and the profile %q", u.ID, u.Name, shown[u.ID])
		}
	}
	if lost > 0 {
		return counts, fmt.Errorf("%d users were acknowledged and are gone", lost)
	}
	return counts, nil
}
