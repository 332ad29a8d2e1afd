// Package demo runs five steps with the three services of a running stack and
// checks each by the responses.
package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/client"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

const (
	// Cooldown is how long the breaker stays open in the demo; 30 s otherwise.
	Cooldown = 2 * time.Second

	atOnce       = 50 * time.Millisecond
	failuresOpen = 6 // an open breaker shows within so many refused orders
)

// The services of the demo.
const (
	User    = "user-service"
	Order   = "order-service"
	Profile = "profile-service"
)

// Story is one run of the demo. Its fields are set before [Story.Play].
type Story struct {
	Stack    stack.Handle
	Sign     client.Signer // for the caller gateway
	Out      io.Writer
	Patience time.Duration // for an event or a recovery; default 15 s
	Pause    time.Duration // before each step but the first, for people who watch; default none

	urls  map[string]string
	user  string
	order string
	since time.Time // of what the current step waits for
}

// Play runs the steps. Its error is a [*Failure], with the name of the step.
func (s *Story) Play(ctx context.Context) error {
	status, err := s.Stack.Status(ctx)
	if err != nil {
		return err
	}
	s.Patience = cmp.Or(s.Patience, 15*time.Second)
	s.urls = map[string]string{}
	for _, p := range status.Parts {
		if p.URL != "" && s.urls[p.Service] == "" {
			s.urls[p.Service] = p.URL
		}
	}
	steps := []struct {
		title string
		do    func(ctx context.Context) error
	}{
		{"create a user", s.createUser},
		{"its profile appears through the event user.created", s.profileAppears},
		{"place an order; order-service calls user-service through the circuit breaker", s.placeOrder},
		{"kill user-service: the breaker opens", s.breakerOpens},
		{"restore user-service: half-open, closed, and the order is completed", s.restore},
	}
	for i, step := range steps {
		if i > 0 && s.Pause > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(s.Pause):
			}
		}
		fmt.Fprintf(s.Out, "\n%d. %s\n", i+1, step.title)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("demo failed at step %d of %d, %s\n%w", i+1, len(steps), step.title, err)
		}
	}
	fmt.Fprintf(s.Out, "\ndemo passed: %d of %d\n", len(steps), len(steps))
	return nil
}

func (s *Story) createUser(ctx context.Context) error {
	s.since = time.Now()
	body := map[string]any{"email": fmt.Sprintf("ada.%d@example.com", s.since.UnixNano()), "name": "Ada Lovelace"}
	r, err := s.expect(ctx, http.StatusCreated, http.MethodPost, User, "/users", body)
	if err != nil {
		return err
	}
	s.user = r.body.ID
	s.say("POST /users: 201 in %s, user %s, trace %s", stack.Short(r.took), s.user, r.trace)
	return nil
}

func (s *Story) profileAppears(ctx context.Context) error {
	found := func(r response) bool { return r.status == http.StatusOK }
	r, err := s.until(ctx, "a profile", s.getProfile, found)
	if err != nil {
		return err
	}
	s.say("GET /profiles/%s: 200, %q, %s after the user's request", s.user, r.body.DisplayName, s.sinceThen())
	return nil
}

func (s *Story) placeOrder(ctx context.Context) error {
	r, err := s.expect(ctx, http.StatusCreated, http.MethodPost, Order, "/orders", s.newOrder())
	if err != nil {
		return err
	}
	s.order = r.body.ID
	s.say("POST /orders: 201 in %s, order %s is %v, trace %s", stack.Short(r.took), s.order, r.body.Status, r.trace)
	return nil
}

// breakerOpens sends orders until the Retry-After of a response is about the
// cooldown, which only an open breaker sends, and then times the next ones.
func (s *Story) breakerOpens(ctx context.Context) error {
	if err := s.Stack.Chaos(ctx, stack.Kill, User); err != nil {
		return err
	}
	s.since = time.Now()
	s.say("user-service is killed (SIGKILL)")
	for i := 1; ; i++ {
		r, err := s.refused(ctx)
		if err != nil {
			return err
		}
		s.say("POST /orders: 503 %s in %s, Retry-After %d s", r.body.Code, stack.Short(r.took), r.retryAfter)
		// With a closed breaker it is a second.
		if time.Duration(r.retryAfter)*time.Second >= Cooldown {
			break
		}
		if i == failuresOpen {
			return r.failure(fmt.Sprintf("an open breaker (Retry-After of about %s) within %d orders", Cooldown, i))
		}
	}
	var took []time.Duration
	for range 5 {
		r, err := s.refused(ctx)
		if err != nil {
			return err
		}
		took = append(took, r.took)
	}
	slices.Sort(took)
	s.say("the breaker is open: the next 5 orders were refused in %s each (the median), without a call",
		stack.Short(took[2]))
	if took[2] > atOnce {
		return &Failure{Expected: "refusals within " + atOnce.String(), Got: took[2].String()}
	}
	return nil
}

func (s *Story) restore(ctx context.Context) error {
	began := time.Now()
	if err := s.Stack.Chaos(ctx, stack.Start, User); err != nil {
		return err
	}
	s.say("user-service is ready again after %s", stack.Short(time.Since(began)))
	created := func(r response) bool { return r.status == http.StatusCreated }
	r, err := s.until(ctx, "201 from the half-open breaker", s.tryOrder, created)
	if err != nil {
		return err
	}
	s.say("POST /orders: 201 in %s: the half-open breaker let a trial through, %s after the kill",
		stack.Short(r.took), s.sinceThen())
	r, err = s.expect(ctx, http.StatusCreated, http.MethodPost, Order, "/orders", s.newOrder())
	if err != nil {
		return err
	}
	s.say("POST /orders: 201 in %s: the breaker is closed", stack.Short(r.took))
	r, err = s.expect(ctx, http.StatusOK, http.MethodPost, Order, "/orders/"+s.order+"/complete", nil)
	if err != nil {
		return err
	}
	s.since = time.Now()
	s.say("POST /orders/%s/complete: 200 in %s, trace %s", s.order, stack.Short(r.took), r.trace)
	counted := func(r response) bool { return r.status == http.StatusOK && r.body.CompletedOrders == 1 }
	if _, err := s.until(ctx, "a profile with completedOrders 1", s.getProfile, counted); err != nil {
		return err
	}
	s.say("GET /profiles/%s: completedOrders is 1, %s after the completion", s.user, s.sinceThen())
	return nil
}

func (s *Story) getProfile(ctx context.Context) (response, error) {
	return s.call(ctx, http.MethodGet, Profile, "/profiles/"+s.user, nil)
}

func (s *Story) newOrder() map[string]any {
	item := map[string]any{"sku": "book-3", "quantity": 2, "unitPrice": 2990}
	return map[string]any{"userId": s.user, "currency": "USD", "items": []any{item}}
}

func (s *Story) tryOrder(ctx context.Context) (response, error) {
	return s.call(ctx, http.MethodPost, Order, "/orders", s.newOrder())
}

// refused sends an order and expects the response of order-service without user-service.
func (s *Story) refused(ctx context.Context) (response, error) {
	r, err := s.tryOrder(ctx)
	if err == nil && (r.status != http.StatusServiceUnavailable || r.retryAfter < 1 || r.body.Code == "") {
		err = r.failure("503 with a code and Retry-After")
	}
	return r, err
}

func (s *Story) say(format string, args ...any) {
	fmt.Fprintf(s.Out, "   "+format+"\n", args...)
}

func (s *Story) sinceThen() string { return stack.Short(time.Since(s.since)) }
