// Package demo plays the story of the three services on a running stack and
// checks every step by what a client of theirs sees.
package demo

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/world"
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
	World world.World
	Token func(audience string) (string, error) // signs for the caller gateway
	Out   io.Writer
	// Patience is what an event or a recovery may take at most. Default 15 s.
	Patience time.Duration

	urls  map[string]string
	user  string
	order string
	since time.Time // of what the current step waits for
}

type step struct {
	title string
	do    func(ctx context.Context) error
}

// Play tells the story. Its error is a [*Failure] naming the step, what was
// expected and what came.
func (s *Story) Play(ctx context.Context) error {
	status, err := s.World.Status(ctx)
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
	steps := []step{
		{"create a user", s.createUser},
		{"its profile appears through the event user.created", s.profileAppears},
		{"place an order; order-service asks user-service through the circuit breaker", s.placeOrder},
		{"kill user-service: the breaker opens and answers in its place", s.breakerOpens},
		{"restore user-service: half-open, closed, and the order is completed", s.restore},
	}
	for i, step := range steps {
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
	a, err := s.expect(ctx, http.StatusCreated, http.MethodPost, User, "/users", body)
	if err != nil {
		return err
	}
	s.user = a.text("id")
	s.tell("POST /users: 201 in %s, user %s, trace %s", world.Short(a.took), s.user, a.trace)
	return nil
}

func (s *Story) profileAppears(ctx context.Context) error {
	a, err := s.poll(ctx, "a profile", func(a answer) bool { return a.status == http.StatusOK })
	if err != nil {
		return err
	}
	s.tell("GET /profiles/%s: 200, %q, %s after the user's request", s.user, a.text("displayName"), world.Short(time.Since(s.since)))
	return nil
}

func (s *Story) placeOrder(ctx context.Context) error {
	a, err := s.tryOrder(ctx)
	if err == nil {
		err = a.want(http.StatusCreated)
	}
	if err != nil {
		return err
	}
	s.order = a.text("id")
	s.tell("POST /orders: 201 in %s, order %s is %s, trace %s", world.Short(a.took), s.order, a.text("status"), a.trace)
	return nil
}

// breakerOpens sends orders until the answer's Retry-After speaks of the
// cooldown, which only an open breaker has, and then times the next ones.
func (s *Story) breakerOpens(ctx context.Context) error {
	if err := s.World.Chaos(ctx, world.Kill, User); err != nil {
		return err
	}
	s.since = time.Now()
	s.tell("user-service is killed (SIGKILL)")
	for i := 1; ; i++ {
		a, err := s.refused(ctx)
		if err != nil {
			return err
		}
		s.tell("POST /orders: 503 %s in %s, Retry-After %d s", a.text("code"), world.Short(a.took), a.retryAfter())
		if a.open() {
			break
		}
		if i == failuresOpen {
			return a.failure(fmt.Sprintf("an open breaker (Retry-After of about %s) within %d orders", Cooldown, i))
		}
	}
	var took []time.Duration
	for range 5 {
		a, err := s.refused(ctx)
		if err != nil {
			return err
		}
		took = append(took, a.took)
	}
	slices.Sort(took)
	s.tell("the breaker is open: the next 5 orders were refused in %s each (the median), without a call", world.Short(took[2]))
	if took[2] > atOnce {
		return &Failure{Expected: "refusals within " + atOnce.String(), Came: took[2].String()}
	}
	return nil
}

func (s *Story) restore(ctx context.Context) error {
	began := time.Now()
	if err := s.World.Chaos(ctx, world.Start, User); err != nil {
		return err
	}
	s.tell("user-service is ready again after %s", world.Short(time.Since(began)))
	if err := s.breakerCloses(ctx); err != nil {
		return err
	}
	a, err := s.expect(ctx, http.StatusOK, http.MethodPost, Order, "/orders/"+s.order+"/complete", nil)
	if err != nil {
		return err
	}
	s.since = time.Now()
	s.tell("POST /orders/%s/complete: 200 in %s, trace %s", s.order, world.Short(a.took), a.trace)
	counted := func(a answer) bool { return a.status == http.StatusOK && a.number("completedOrders") == 1 }
	if _, err := s.poll(ctx, "a profile with completedOrders 1", counted); err != nil {
		return err
	}
	s.tell("GET /profiles/%s: completedOrders is 1, %s after the completion", s.user, world.Short(time.Since(s.since)))
	return nil
}

// breakerCloses orders until the cooldown is over: the half-open breaker's trial
// succeeds, and the order right behind it passes as well.
func (s *Story) breakerCloses(ctx context.Context) error {
	limit := time.Now().Add(s.Patience)
	for {
		a, err := s.tryOrder(ctx)
		if err != nil {
			return err
		}
		if a.status == http.StatusCreated {
			s.tell("POST /orders: 201 in %s: half-open since the cooldown is over, the breaker let a trial through, %s after the kill",
				world.Short(a.took), world.Short(time.Since(s.since)))
			break
		}
		if a.status != http.StatusServiceUnavailable || time.Now().After(limit) {
			return a.failure("201 once the breaker's cooldown is over")
		}
		if err := rest(ctx); err != nil {
			return err
		}
	}
	a, err := s.tryOrder(ctx)
	if err == nil {
		err = a.want(http.StatusCreated)
	}
	if err != nil {
		return err
	}
	s.tell("POST /orders: 201 in %s: the breaker is closed", world.Short(a.took))
	return nil
}

func (s *Story) tryOrder(ctx context.Context) (answer, error) {
	item := map[string]any{"sku": "sled-3", "quantity": 2, "unitPrice": 2990}
	body := map[string]any{"userId": s.user, "currency": "USD", "items": []any{item}}
	return s.call(ctx, http.MethodPost, Order, "/orders", body)
}

// refused tries an order and expects the answer of a callee that is not there.
func (s *Story) refused(ctx context.Context) (answer, error) {
	a, err := s.tryOrder(ctx)
	if err == nil && (a.status != http.StatusServiceUnavailable || a.retryAfter() < 1 || a.text("code") == "") {
		err = a.failure("503 with a code and Retry-After")
	}
	return a, err
}

// poll reads the user's profile until it is as wanted.
func (s *Story) poll(ctx context.Context, expected string, ok func(answer) bool) (answer, error) {
	for limit := time.Now().Add(s.Patience); ; {
		a, err := s.call(ctx, http.MethodGet, Profile, "/profiles/"+s.user, nil)
		if err != nil || ok(a) {
			return a, err
		}
		if time.Now().After(limit) {
			return a, a.failure(expected + " within " + s.Patience.String())
		}
		if err := rest(ctx); err != nil {
			return a, err
		}
	}
}

func (s *Story) tell(format string, args ...any) {
	fmt.Fprintf(s.Out, "   "+format+"\n", args...)
}

// open reports whether a refusal is an open breaker's: a callee that merely did not
// answer may be asked again after a second.
func (a answer) open() bool { return time.Duration(a.retryAfter())*time.Second >= Cooldown }

func (a answer) retryAfter() int {
	seconds, _ := strconv.Atoi(a.header.Get("Retry-After"))
	return seconds
}
