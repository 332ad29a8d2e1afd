package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
)

// Seed is a data set of users with orders. The same Number always makes the same users and orders, and
// making it again adds nothing.
type Seed struct {
	Users  int
	Number uint64
	Out    io.Writer
}

var (
	givenNames  = strings.Fields("Ada Grace Alan Edsger Barbara Donald Hedy Katherine Linus Margaret Niklaus Radia Tim Frances Ken")
	familyNames = strings.Fields("Lovelace Hopper Turing Dijkstra Liskov Knuth Lamarr Johnson Torvalds Hamilton Wirth Perlman Lee Allen Thompson")
	articles    = []struct {
		sku   string
		price int
	}{
		{"tea-green", 450}, {"tea-black", 420}, {"kettle", 3990}, {"cup", 890}, {"book-go", 3450}, {"book-sql", 2990},
		{"lamp", 5900}, {"chair", 12900}, {"notebook", 350}, {"pen", 190},
	}
)

// Run adds what is missing, and prints how much it was.
func (s Seed) Run(ctx context.Context, t *Target) error {
	known, err := t.usersByEmail(ctx)
	if err != nil {
		return fmt.Errorf("list users: %w", err)
	}
	users, orders := 0, 0
	for i := range s.Users {
		random := rand.New(rand.NewPCG(s.Number, uint64(i))) // #nosec G404 -- repeatable
		given, family := givenNames[random.IntN(len(givenNames))], familyNames[random.IntN(len(familyNames))]
		email := strings.ToLower(fmt.Sprintf("%s.%s.%d.%d@example.com", given, family, s.Number, i))
		id := known[email]
		if id == "" {
			a, err := t.send(ctx, http.MethodPost, User, "/users", map[string]any{"email": email, "name": given + " " + family}, "")
			var failed failedError
			switch {
			case err == nil:
				id = a.ID
				users++
			case errors.As(err, &failed) && failed.code == "email_taken": // by another seed at the same time
				if known, err = t.usersByEmail(ctx); err != nil {
					return fmt.Errorf("list users: %w", err)
				}
				id = known[email]
			}
			if id == "" {
				return fmt.Errorf("create %s: %w", email, err)
			}
		}
		n, err := s.order(ctx, t, random, id)
		if err != nil {
			return fmt.Errorf("order of %s: %w", email, err)
		}
		orders += n
		if (i+1)%100 == 0 {
			fmt.Fprintf(s.Out, "%d of %d users\n", i+1, s.Users)
		}
	}
	fmt.Fprintf(s.Out, "%d users and %d orders added; %d users were there\n", users, orders, s.Users-users)
	return nil
}

// order places the orders of a user that are missing. Most users have a few, two of three are
// completed, some cancelled.
func (s Seed) order(ctx context.Context, t *Target, random *rand.Rand, user string) (added int, err error) {
	page, err := t.send(ctx, http.MethodGet, Order, "/orders?limit=100&userId="+user, nil, "")
	if err != nil {
		return 0, err
	}
	for n := range random.IntN(5) {
		var items []map[string]any
		for _, i := range random.Perm(len(articles))[:1+random.IntN(3)] {
			items = append(items, map[string]any{
				"sku": articles[i].sku, "quantity": 1 + random.IntN(3), "unitPrice": articles[i].price,
			})
		}
		end := random.IntN(6)
		if n < len(page.Items) {
			continue
		}
		placed, err := t.send(ctx, http.MethodPost, Order, "/orders", map[string]any{"userId": user, "items": items},
			fmt.Sprintf("seed-%d-%s-%d", s.Number, user, n))
		if err != nil {
			return added, err
		}
		added++
		path := map[bool]string{true: "/complete", false: "/cancel"}[end < 4]
		if end == 5 {
			continue // is pending
		}
		if _, err := t.send(ctx, http.MethodPost, Order, "/orders/"+placed.ID+path, nil, ""); err != nil {
			return added, err
		}
	}
	return added, nil
}

// usersByEmail returns the ids of all users.
func (t *Target) usersByEmail(ctx context.Context) (map[string]string, error) {
	ids, cursor := map[string]string{}, ""
	for {
		path := "/users?limit=100"
		if cursor != "" {
			path += "&cursor=" + url.QueryEscape(cursor)
		}
		page, err := t.send(ctx, http.MethodGet, User, path, nil, "")
		if err != nil {
			return nil, err
		}
		for _, u := range page.Items {
			ids[u.Email] = u.ID
		}
		if cursor = page.NextCursor; cursor == "" {
			return ids, nil
		}
	}
}
