package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

// part is a part of the stack with the base URL of its admin port, "" without one.
type part struct {
	stack.Part
	admin string
}

// Address is where a service is, for a console that cannot ask the stack.
type Address struct {
	Service string
	URL     string // base URL of the service
	Admin   string // base URL of its admin port; each address of the host is an instance
}

// ParseAddress reads SERVICE=URL,ADMIN-URL.
func ParseAddress(text string) (Address, error) {
	name, urls, _ := strings.Cut(text, "=")
	a := Address{Service: name}
	a.URL, a.Admin, _ = strings.Cut(urls, ",")
	for _, text := range []string{a.URL, a.Admin} {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" || u.Host == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" {
			return a, fmt.Errorf("%q is not SERVICE=http://HOST:PORT,http://HOST:ADMIN_PORT", text)
		}
	}
	if !env.IsServiceName(name) {
		return a, fmt.Errorf("%q is not the name of a service", name)
	}
	return a, nil
}

// parts returns what runs: as the stack reports it, or by the addresses of the services.
func (c *Console) parts(ctx context.Context) (stack.Status, []part, error) {
	if c.cfg.Stack == nil {
		var all []part
		for _, a := range c.cfg.Addresses {
			all = append(all, a.instances(ctx)...)
		}
		return stack.Status{Name: "compose", World: stack.Docker}, all, nil
	}
	status, err := c.cfg.Stack.Status(ctx)
	if err != nil {
		return status, nil, errors.New("the stack is not up")
	}
	var all []part
	for _, p := range status.Parts {
		admin := ""
		if p.AdminPort != 0 {
			admin = fmt.Sprintf("http://127.0.0.1:%d", p.AdminPort)
		}
		all = append(all, part{p, admin})
	}
	return status, all, nil
}

// instances returns a part for each address that the host of the admin port has.
func (a Address) instances(ctx context.Context) []part {
	u, _ := url.Parse(a.Admin) // [ParseAddress] has
	p := part{stack.Part{Name: a.Service, Service: a.Service, URL: a.URL, State: stack.Exited}, ""}
	found, err := net.DefaultResolver.LookupHost(ctx, u.Hostname())
	if err != nil {
		p.Detail = "its host has no address"
		return []part{p}
	}
	slices.Sort(found)
	p.State = stack.Ready
	var all []part
	for i, host := range found {
		if len(found) > 1 {
			p.Name = fmt.Sprintf("%s-%d", a.Service, i+1)
		}
		p.admin = "http://" + net.JoinHostPort(host, u.Port())
		all = append(all, p)
	}
	return all
}

// first returns the URL of an instance of a service that runs, "" if none does.
func first(all []part, service string, of func(part) string) string {
	for _, p := range all {
		if p.Service == service && p.State == stack.Ready && of(p) != "" {
			return of(p)
		}
	}
	return ""
}

func urlOf(p part) string   { return p.URL }
func adminOf(p part) string { return p.admin }

// healthOf returns the health of a service by its instances, of which some respond.
func healthOf(instances []instance, responding int, rate, errors float64) string {
	states := map[string]int{}
	for _, i := range instances {
		states[i.State]++
	}
	switch {
	case states[stack.Paused] == len(instances):
		return "paused"
	case responding == 0 && states[stack.Starting] > 0:
		return "starting"
	case responding == 0:
		return "down"
	case responding < len(instances) || errors > rate/10:
		return "degraded"
	}
	return "healthy"
}
