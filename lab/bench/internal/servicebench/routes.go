package servicebench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/bench/internal/load"
	"github.com/go-troika/troika/lab/report"
)

// The routes that are measured.
const (
	getUser   = "GET /users/:id"
	postUser  = "POST /users"
	postOrder = "POST /orders"
)

// target is one side of a route.
type target struct {
	side      report.Side
	job       load.Job
	processes []*Service // whose CPU counts, the one that serves the route first
}

// cost is the result of one slice.
type cost struct {
	cpu, own float64 // µs per request, of all processes and of the one that serves the route
	rate     float64 // requests a second
	p50, p99 float64 // ms
}

// routes measures every route on both sides in turn.
func (b *Bench) routes(ctx context.Context) ([]report.Line, error) {
	var lines []report.Line
	for _, r := range []struct {
		name   string
		target func(context.Context, report.Side) (target, error)
	}{{getUser, b.getUser}, {postUser, b.postUser}, {postOrder, b.postOrder}} {
		var targets []target
		for _, side := range []report.Side{report.Baseline, report.Ours} {
			t, err := r.target(ctx, side)
			if err != nil {
				return nil, fmt.Errorf("prepare %s on %s: %w", r.name, side, err)
			}
			targets = append(targets, t)
		}
		costs, err := b.turns(ctx, targets)
		if err == nil {
			err = b.profile(ctx, r.name, targets[1])
		}
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", r.name, err)
		}
		lines = append(lines, routeLines(r.name, costs)...)
	}
	return lines, nil
}

// turns measures both sides in every round, the other first each time.
func (b *Bench) turns(ctx context.Context, targets []target) (map[report.Side][]cost, error) {
	for _, t := range targets {
		if _, err := load.Run(ctx, t.job, Callers, warmUp); err != nil {
			return nil, fmt.Errorf("warm up %s: %w", t.side, err)
		}
	}
	costs := map[report.Side][]cost{}
	for round := range b.Plan.Rounds {
		for i := range targets {
			t := targets[(i+round)%len(targets)]
			c, err := b.slice(ctx, t)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.side, err)
			}
			costs[t.side] = append(costs[t.side], c)
		}
	}
	return costs, nil
}

// slice measures one side once. What its requests leave behind, such as events on
// their way, counts too.
func (b *Bench) slice(ctx context.Context, t target) (cost, error) {
	allBefore, ownBefore, errBefore := t.cpu()
	result, errRun := load.Run(ctx, t.job, Callers, b.Plan.Slice)
	errPause := poll.Sleep(ctx, drain)
	all, own, errAfter := t.cpu()
	if err := errors.Join(errBefore, errRun, errPause, errAfter); err != nil {
		return cost{}, err
	}
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(len(result.Latencies)) }
	return cost{
		cpu: per(all - allBefore), own: per(own - ownBefore), rate: result.Rate(),
		p50: milliseconds(result.Latencies, 0.5), p99: milliseconds(result.Latencies, 0.99),
	}, nil
}

func milliseconds(durations []time.Duration, p float64) float64 {
	return report.Milliseconds(report.Percentile(durations, p))
}

// cpu returns what all processes have used so far, and the one that serves the route.
func (t target) cpu() (all, own time.Duration, err error) {
	for i, p := range t.processes {
		d, err := p.CPU()
		if err != nil {
			return 0, 0, err
		}
		all += d
		if i == 0 {
			own = d
		}
	}
	return all, own, nil
}

// routeLines are the results of one route, medians of the rounds.
func routeLines(route string, costs map[report.Side][]cost) []report.Line {
	medians := func(pick func(cost) float64) report.Values {
		values := report.Values{}
		for side, all := range costs {
			var picked []float64
			for _, c := range all {
				picked = append(picked, pick(c))
			}
			values[side] = report.Median(picked)
		}
		return values
	}
	cpu := medians(func(c cost) float64 { return c.cpu })
	lines := []report.Line{
		line(route+", CPU per request", "µs", cpu).To(report.Baseline).AtMost(2),
		line(route+", CPU per request", "µs", report.Values{report.Ours: cpu[report.Ours],
			report.Reference: reference.cpu[route]}).
			To(report.Reference).AtMost(0.2),
	}
	rates := medians(func(c cost) float64 { return c.rate })
	rates[report.Reference] = reference.rate[route]
	rate := line(route+", requests", "req/s", rates).To(report.Reference)
	if route == postOrder {
		own := medians(func(c cost) float64 { return c.own })
		lines = append(lines, line(route+", of which order-service", "µs", own).To(report.Baseline))
		rate = rate.AtLeast(4)
	}
	return append(lines, rate,
		line(route+", p50", "ms", medians(func(c cost) float64 { return c.p50 })).To(report.Baseline),
		line(route+", p99", "ms", medians(func(c cost) float64 { return c.p99 })).To(report.Baseline))
}

// endpoint returns a side's service of that name and the headers of requests to it.
func (b *Bench) endpoint(side report.Side, name string) (*Service, []string, error) {
	if side == report.Baseline {
		return b.Cluster.baseline[name], nil, nil
	}
	token, err := b.Cluster.token(name)
	return b.Cluster.ours[name], []string{"X-Service-Token", token}, err
}

func (b *Bench) getUser(ctx context.Context, side report.Side) (target, error) {
	users, headers, err := b.endpoint(side, contracts.UserService)
	if err != nil {
		return target{}, err
	}
	ids, err := b.register(ctx, side)
	next := inTurn(ids, func(id string) []byte { return load.Request(http.MethodGet, "/users/"+id, "", headers...) })
	return target{side, load.Job{Addr: users.Addr, Status: http.StatusOK, Next: next}, []*Service{users}}, err
}

// inTurn returns the requests about the ids one after the other, over and over.
func inTurn(ids []string, request func(id string) []byte) func() []byte {
	var requests [][]byte
	for _, id := range ids {
		requests = append(requests, request(id))
	}
	var n atomic.Int64
	return func() []byte { return requests[int(n.Add(1))%len(requests)] }
}

func (b *Bench) postUser(_ context.Context, side report.Side) (target, error) {
	users, headers, err := b.endpoint(side, contracts.UserService)
	if err != nil {
		return target{}, err
	}
	next := func() []byte { return b.newUser(headers) }
	return target{side, load.Job{Addr: users.Addr, Status: http.StatusCreated, Next: next}, []*Service{users}}, nil
}

// newUser returns a request that creates another user.
func (b *Bench) newUser(headers []string) []byte {
	body := fmt.Sprintf(`{"email":"ada.%d@example.com","name":"Ada Lovelace"}`, b.users.Add(1))
	return load.Request(http.MethodPost, "/users", body, headers...)
}

func (b *Bench) postOrder(ctx context.Context, side report.Side) (target, error) {
	orders, headers, errOrders := b.endpoint(side, contracts.OrderService)
	users, _, errUsers := b.endpoint(side, contracts.UserService)
	if err := errors.Join(errOrders, errUsers); err != nil {
		return target{}, err
	}
	ids, err := b.register(ctx, side)
	next := inTurn(ids, func(id string) []byte {
		body := fmt.Sprintf(`{"userId":%q,"currency":"USD","items":[{"sku":"tea-1","quantity":2,"unitPrice":450},`+
			`{"sku":"cup-7","quantity":1,"unitPrice":1290}]}`, id)
		return load.Request(http.MethodPost, "/orders", body, headers...)
	})
	return target{side, load.Job{Addr: orders.Addr, Status: http.StatusCreated, Next: next},
		[]*Service{orders, users}}, err
}

// register creates users and returns their ids.
func (b *Bench) register(ctx context.Context, side report.Side) ([]string, error) {
	users, headers, err := b.endpoint(side, contracts.UserService)
	if err != nil {
		return nil, err
	}
	conn, err := load.Dial(ctx, users.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var ids []string
	for range readers {
		id, err := create(conn, b.newUser(headers))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// create sends a request that creates something, and returns its id.
func create(conn *load.Conn, request []byte) (string, error) {
	status, body, err := conn.Do(request)
	if err != nil {
		return "", err
	}
	var created struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &created); status != http.StatusCreated || err != nil || created.ID == "" {
		return "", fmt.Errorf("%.60q: status %d: %.300s", request, status, body)
	}
	return created.ID, nil
}
