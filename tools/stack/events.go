package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/client"
)

// eventVerbs lists the verbs of "stack events".
var eventVerbs = []string{"status", "dead", "waiting", "redrive", "discard", "replay", "pause", "resume", "partitions"}

// events looks after the events that a service consumes and publishes; see docs/events.md.
func (a *app) events(ctx context.Context, args []string) error {
	fs := a.flags("events")
	url := fs.String("url", "", "")
	fields := flag.NewFlagSet("", flag.ContinueOnError) // those of the request's body
	for _, name := range []string{"id", "event", "reason", "service", "since", "partition"} {
		fields.String(name, "", "")
	}
	fields.Bool("all", false, "")
	fields.Bool("unseen", false, "")
	fields.Int64("position", 0, "")
	fields.Int("count", 0, "")
	fields.VisitAll(func(f *flag.Flag) { fs.Var(f.Value, f.Name, "") })
	rest, err := a.parse(fs, args, 2, 2)
	if err != nil {
		return err
	}
	verb, service := rest[0], rest[1]
	if !slices.Contains(eventVerbs, verb) {
		return fmt.Errorf("events: no verb %q: %w", verb, errUsage)
	}
	if *url == "" {
		if *url, err = a.adminURL(ctx, service); err != nil {
			return err
		}
	}
	switch verb {
	case "status":
		return a.sendAsOperator(ctx, service, http.MethodGet, *url+"/events/status", nil)
	case "dead", "waiting":
		return a.sendAsOperator(ctx, service, http.MethodGet, *url+"/events/parked?state="+verb, nil)
	case "pause", "resume":
		return a.sendAsOperator(ctx, service, http.MethodPost, *url+"/events/"+verb, nil)
	}
	body := map[string]any{}
	fs.Visit(func(f *flag.Flag) {
		if fields.Lookup(f.Name) != nil {
			body[f.Name] = f.Value.(flag.Getter).Get()
		}
	})
	return a.sendAsOperator(ctx, service, http.MethodPost, *url+"/events/"+verb, body)
}

// adminURL returns the address of the admin port of an instance of a service.
func (a *app) adminURL(ctx context.Context, service string) (string, error) {
	status, err := a.runningStatus(ctx)
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

// sendAsOperator sends a request and prints the response.
func (a *app) sendAsOperator(ctx context.Context, service, method, url string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, 40*time.Second)
	defer cancel()
	sign, err := a.signer(serviceauth.Operator)
	if err != nil {
		return err
	}
	resp, text, err := client.Send(ctx, sign, service, method, url, body)
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, text, "", "  ") == nil {
		text = pretty.Bytes()
	}
	if resp.StatusCode >= 300 {
		return errors.New(resp.Status + "\n" + string(text))
	}
	fmt.Fprintf(a.out, "%s\n", cmp.Or(string(text), "done"))
	return nil
}
