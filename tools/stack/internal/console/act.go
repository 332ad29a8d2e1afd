package console

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/client"
	"github.com/go-troika/troika/tools/stack/internal/demo"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

const (
	maxCommand  = 64 << 10
	requestTime = 10 * time.Second
	controlTime = 70 * time.Second // a start waits until the service is ready
)

// command is the body of a button's request.
type command struct {
	Name    string `json:"name"`    // of a user; of a part to control
	Verb    string `json:"verb"`    // of control
	Service string `json:"service"` // whose events to redrive
	ID      string `json:"id"`      // the event; "" for all that are dead
}

// result is what a button has done.
type result struct {
	Message string `json:"message"`
	Failed  bool   `json:"failed,omitempty"`
	Trace   string `json:"trace,omitempty"`
}

// act does what a button says.
func (c *Console) act(w http.ResponseWriter, r *http.Request) {
	actions := map[string]func(context.Context, command) (result, error){
		"user": c.createUser, "order": c.placeOrder, "complete": c.completeOrder,
		"control": c.control, "redrive": c.redrive, "run": c.start,
	}
	do := actions[r.PathValue("action")]
	if do == nil {
		http.NotFound(w, r)
		return
	}
	var in command
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		respond(w, http.StatusBadRequest, result{Message: "the command is not JSON: " + err.Error(), Failed: true})
		return
	}
	// The deadline of the request would end a command that takes longer.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	out, err := do(r.Context(), in)
	if err != nil {
		out.Message, out.Failed = err.Error(), true
	}
	respond(w, http.StatusOK, out)
}

func (c *Console) createUser(ctx context.Context, in command) (result, error) {
	name := cmp.Or(in.Name, "Ada Lovelace")
	body := map[string]any{"name": name, "email": "demo." + strings.ToLower(rand.Text()[:10]) + "@example.com"}
	out, id, err := c.request(ctx, demo.User, "/users", body)
	if err == nil && id != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.user = id
	}
	return out, err
}

// placeOrder places an order of the last user.
func (c *Console) placeOrder(ctx context.Context, _ command) (result, error) {
	c.mu.Lock()
	user := c.user
	c.mu.Unlock()
	if user == "" {
		return result{}, errors.New("create a user first")
	}
	item := map[string]any{"sku": "book-3", "quantity": 2, "unitPrice": 2990}
	out, id, err := c.request(ctx, demo.Order, "/orders", map[string]any{"userId": user, "items": []any{item}})
	if err == nil && id != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.order = id
	}
	return out, err
}

// completeOrder completes the last order.
func (c *Console) completeOrder(ctx context.Context, _ command) (result, error) {
	c.mu.Lock()
	order := c.order
	c.mu.Unlock()
	if order == "" {
		return result{}, errors.New("place an order first")
	}
	out, _, err := c.request(ctx, demo.Order, "/orders/"+order+"/complete", nil)
	return out, err
}

// request posts body in a trace that is recorded, and returns the id in the response.
func (c *Console) request(ctx context.Context, service, path string, body any) (out result, id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	_, parts, err := c.parts(ctx)
	if err != nil {
		return out, "", err
	}
	url := cmp.Or(first(parts, service, urlOf), anyURL(parts, service))
	if url == "" {
		return out, "", fmt.Errorf("%s is not here", service)
	}
	began := time.Now()
	header, trace := newTrace(true)
	resp, text, err := client.Send(ctx, c.cfg.Gateway, service, http.MethodPost, url+path, body, header)
	took := stack.Short(time.Since(began))
	if err != nil {
		return out, "", fmt.Errorf("POST %s: no response from %s after %s", path, service, took)
	}
	var answer struct{ ID, Code string }
	_ = json.Unmarshal(bytes.TrimSpace(text), &answer) // a proxy's page has neither
	out = result{Message: fmt.Sprintf("POST %s → %d in %s", path, resp.StatusCode, took), Trace: trace}
	if resp.StatusCode >= 300 {
		out.Failed = true
		out.Message += " " + answer.Code
		if after := resp.Header.Get("Retry-After"); after != "" {
			out.Message += ", Retry-After " + after + " s"
		}
	}
	return out, answer.ID, nil
}

// anyURL returns the URL of an instance, whether or not it runs.
func anyURL(parts []part, service string) string {
	for _, p := range parts {
		if p.Service == service && p.URL != "" {
			return p.URL
		}
	}
	return ""
}

// newTrace returns the headers of a new trace, and its id.
func newTrace(recorded bool) (http.Header, string) {
	ids := make([]byte, 24)
	_, _ = rand.Read(ids) // never fails
	trace := hex.EncodeToString(ids[:16])
	flags := map[bool]string{false: "00", true: "01"}[recorded]
	return http.Header{"Traceparent": {"00-" + trace + "-" + hex.EncodeToString(ids[16:]) + "-" + flags}}, trace
}

func unrecorded() http.Header {
	header, _ := newTrace(false)
	return header
}

// control kills, pauses or restores parts.
func (c *Console) control(ctx context.Context, in command) (result, error) {
	if c.cfg.Stack == nil {
		return result{}, errors.New("this console cannot control containers: use docker compose")
	}
	if !slices.Contains(stack.Verbs, in.Verb) {
		return result{}, fmt.Errorf("no verb %q", in.Verb)
	}
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	status, err := c.cfg.Stack.Status(ctx)
	if err == nil {
		_, err = status.Named(in.Name)
	}
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	if err := c.cfg.Stack.Chaos(ctx, in.Verb, in.Name); err != nil {
		return result{}, err
	}
	return result{Message: fmt.Sprintf("%s %s: done in %s", in.Verb, in.Name, stack.Short(time.Since(began)))}, nil
}

// redrive makes dead events due again.
func (c *Console) redrive(ctx context.Context, in command) (result, error) {
	_, parts, err := c.parts(ctx)
	if err != nil {
		return result{}, err
	}
	admin := first(parts, in.Service, adminOf)
	if admin == "" {
		return result{}, fmt.Errorf("no instance of %q runs", in.Service)
	}
	body := map[string]any{"all": true}
	if in.ID != "" {
		body = map[string]any{"id": in.ID}
	}
	path := admin + "/events/redrive"
	resp, text, err := client.Send(ctx, c.cfg.Operator, in.Service, http.MethodPost, path, body, unrecorded())
	if err != nil {
		return result{}, err
	}
	var answer struct {
		Events int
		Error  string
	}
	if err := json.Unmarshal(text, &answer); err != nil || resp.StatusCode != http.StatusOK {
		return result{}, errors.New(cmp.Or(answer.Error, resp.Status))
	}
	return result{Message: fmt.Sprintf("%s: parked events of %d keys are handled again", in.Service, answer.Events)}, nil
}
