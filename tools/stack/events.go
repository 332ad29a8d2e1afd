package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/serviceauth"
)

// eventVerbs lists what "stack events" understands.
var eventVerbs = []string{"status", "dead", "waiting", "redrive", "discard", "replay", "pause", "resume", "partitions"}

// eventFlags are the flags of "stack events"; which count depends on the verb.
type eventFlags struct {
	url, id, event, reason string
	service, since         string
	partition              string
	all, unseen            bool
	position               int64
	count                  int
}

// eventTimeout bounds one request of "stack events".
const eventTimeout = 40 * time.Second

// events looks after the events that a service consumes and publishes; see docs/events.md.
func (a *app) events(ctx context.Context, args []string) error {
	var f eventFlags
	fs := a.flags("events")
	fs.StringVar(&f.url, "url", "", "")
	fs.StringVar(&f.id, "id", "", "")
	fs.StringVar(&f.event, "event", "", "")
	fs.BoolVar(&f.all, "all", false, "")
	fs.StringVar(&f.reason, "reason", "", "")
	fs.StringVar(&f.service, "service", "", "")
	fs.StringVar(&f.since, "since", "", "")
	fs.StringVar(&f.partition, "partition", "", "")
	fs.Int64Var(&f.position, "position", -1, "")
	fs.BoolVar(&f.unseen, "unseen", false, "")
	fs.IntVar(&f.count, "count", 0, "")
	rest, err := a.parse(fs, args, 2, 2)
	if err != nil {
		return err
	}
	verb, service := rest[0], rest[1]
	if !slices.Contains(eventVerbs, verb) {
		return fmt.Errorf("events: no verb %q: %w", verb, errUsage)
	}
	if f.url == "" {
		if f.url, err = a.urlOf(ctx, service); err != nil {
			return err
		}
	}
	return a.askEvents(ctx, service, f.request(verb), f.url)
}

// eventRequest is what a verb asks of the service.
type eventRequest struct {
	method, path string
	body         map[string]any
}

func (f eventFlags) request(verb string) eventRequest {
	switch verb {
	case "status":
		return eventRequest{method: http.MethodGet, path: "/events/status"}
	case "dead", "waiting":
		return eventRequest{method: http.MethodGet, path: "/events/parked?state=" + verb}
	case "pause", "resume":
		return eventRequest{method: http.MethodPost, path: "/events/" + verb}
	}
	body := map[string]any{}
	for name, value := range map[string]string{"id": f.id, "event": f.event, "reason": f.reason, "service": f.service, "since": f.since, "partition": f.partition} {
		if value != "" {
			body[name] = value
		}
	}
	if f.position >= 0 {
		body["position"] = f.position
	}
	if f.count > 0 {
		body["count"] = f.count
	}
	for name, set := range map[string]bool{"all": f.all, "unseen": f.unseen} {
		if set {
			body[name] = true
		}
	}
	return eventRequest{method: http.MethodPost, path: "/events/" + verb, body: body}
}

// urlOf returns the address of the admin port of an instance of a service.
func (a *app) urlOf(ctx context.Context, service string) (string, error) {
	w, err := a.running(ctx)
	if err != nil {
		return "", err
	}
	status, err := w.Status(ctx)
	if err != nil {
		return "", err
	}
	parts, err := status.Named(service)
	if err != nil {
		return "", err
	}
	for _, p := range parts {
		if p.AdminPort != 0 {
			return fmt.Sprintf("http://127.0.0.1:%d", p.AdminPort), nil
		}
	}
	return "", fmt.Errorf("%s has no admin port here now; --url gives its address", service)
}

// askEvents sends the request as the operator and prints the answer.
func (a *app) askEvents(ctx context.Context, service string, r eventRequest, url string) error {
	ctx, cancel := context.WithTimeout(ctx, eventTimeout)
	defer cancel()
	sign, err := a.signer("gateway")
	if err != nil {
		return err
	}
	token, err := sign(service)
	if err != nil {
		return err
	}
	body, err := json.Marshal(r.body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, url+r.path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set(serviceauth.Header, token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, answer, "", "  ") == nil {
		answer = pretty.Bytes()
	}
	if resp.StatusCode >= 300 {
		return errors.New(resp.Status + "\n" + string(answer))
	}
	fmt.Fprintf(a.out, "%s\n", cmp.Or(string(answer), "done"))
	return nil
}
