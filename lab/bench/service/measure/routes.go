package measure

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
	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/service/load"
	"github.com/go-troika/troika/lab/bench/service/process"
)

// The routes that are measured.
const (
	getUser   = "GET /users/:id"
	postUser  = "POST /users"
	postOrder = "POST /orders"
)

// target is one side of a route.
type target struct {
	side  report.Side
	job   load.Job
	front *process.Process   // who is asked
	all   []*process.Process // whose CPU counts
}

// cost is what one slice showed.
type cost struct {
	cpu, front float64 // µs per request, of all and of the one who was asked
	rate       float64
	p50, p99   float64 // ms
}

// routes measures every route on both sides in turn.
func (b *Bench) routes(ctx context.Context) ([]report.Line, error) {
	makers := []struct {
		name string
		make func(context.Context, report.Side) (target, error)
	}{{getUser, b.getUser}, {postUser, b.postUser}, {postOrder, b.postOrder}}
	var lines []report.Line
	for _, m := range makers {
		var targets []target
		for _, side := range []report.Side{report.Floor, report.Ours} {
			t, err := m.make(ctx, side)
			if err != nil {
				return nil, fmt.Errorf("prepare %s on %s: %w", m.name, side, err)
			}
			targets = append(targets, t)
		}
		costs, err := b.turns(ctx, targets)
		if err != nil {
			return nil, fmt.Errorf("measure %s: %w", m.name, err)
		}
		if err := b.profile(ctx, m.name, targets[1]); err != nil {
			return nil, err
		}
		lines = append(lines, routeLines(m.name, costs)...)
	}
	return lines, nil
}

// turns has both sides work in every round, the other first each time.
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
	before, errBefore := spent(t)
	result, errRun := load.Run(ctx, t.job, Callers, b.Plan.Slice)
	errPause := poll.Sleep(ctx, drain)
	after, errAfter := spent(t)
	if err := errors.Join(errBefore, errRun, errPause, errAfter); err != nil {
		return cost{}, err
	}
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(len(result.Latencies)) }
	return cost{
		cpu: per(after.all - before.all), front: per(after.front - before.front), rate: result.Rate(),
		p50: report.Percentile(result.Latencies, 0.5), p99: report.Percentile(result.Latencies, 0.99),
	}, nil
}

type cpu struct{ all, front time.Duration }

func spent(t target) (cpu, error) {
	var c cpu
	for _, p := range t.all {
		d, err := p.CPU()
		if err != nil {
			return c, err
		}
		c.all += d
		if p == t.front {
			c.front = d
		}
	}
	return c, nil
}

// routeLines are the figures of one route, medians of the rounds.
func routeLines(route string, costs map[report.Side][]cost) []report.Line {
	of := func(pick func(cost) float64) map[report.Side]float64 {
		medians := map[report.Side]float64{}
		for side, all := range costs {
			var values []float64
			for _, c := range all {
				values = append(values, pick(c))
			}
			medians[side] = report.Median(values)
		}
		return medians
	}
	with := func(values map[report.Side]float64, reference float64) map[report.Side]float64 {
		values[report.Reference] = reference
		return values
	}
	cpu := of(func(c cost) float64 { return c.cpu })
	lines := []report.Line{
		line(route+", CPU per request", "µs", cpu).To(report.Floor).AtMost(2),
		line(route+", CPU per request", "µs", with(map[report.Side]float64{report.Ours: cpu[report.Ours]}, reference.cpu[route])).
			To(report.Reference).AtMost(0.2),
	}
	if route == postOrder {
		front := of(func(c cost) float64 { return c.front })
		lines = append(lines, line(route+", of which order-service", "µs", front).To(report.Floor))
	}
	rate := line(route+", requests", "req/s", with(of(func(c cost) float64 { return c.rate }), reference.rate[route])).To(report.Reference)
	if route == postOrder {
		rate = rate.AtLeast(4)
	}
	return append(lines, rate,
		line(route+", p50", "ms", of(func(c cost) float64 { return c.p50 })).To(report.Floor),
		line(route+", p99", "ms", of(func(c cost) float64 { return c.p99 })).To(report.Floor))
}

// addr is where a side serves what the service name does, and headers are what it
// asks of a request.
func (b *Bench) addr(side report.Side, name string) (addr string, headers []string, err error) {
	if side == report.Floor {
		return b.Fleet.FloorAddr(name), nil, nil
	}
	token, err := b.Fleet.Token(name)
	return b.Fleet.Addr(name), []string{"X-Service-Token", token}, err
}

func (b *Bench) processes(side report.Side, names ...string) []*process.Process {
	running := b.ours
	if side == report.Floor {
		running = b.floor
	}
	var all []*process.Process
	for _, name := range names {
		all = append(all, running[name])
	}
	return all
}

func (b *Bench) getUser(ctx context.Context, side report.Side) (target, error) {
	addr, headers, err := b.addr(side, contracts.UserService)
	if err != nil {
		return target{}, err
	}
	ids, err := b.register(ctx, side, readers)
	if err != nil {
		return target{}, err
	}
	var requests [][]byte
	for _, id := range ids {
		requests = append(requests, load.Request(http.MethodGet, "/users/"+id, "", headers...))
	}
	all := b.processes(side, contracts.UserService)
	return target{side, load.Job{Addr: addr, Status: http.StatusOK, Next: inTurn(requests)}, all[0], all}, nil
}

// inTurn returns one after the other, over and over.
func inTurn(requests [][]byte) func() []byte {
	var n atomic.Int64
	return func() []byte { return requests[int(n.Add(1))%len(requests)] }
}

func (b *Bench) postUser(_ context.Context, side report.Side) (target, error) {
	addr, headers, err := b.addr(side, contracts.UserService)
	if err != nil {
		return target{}, err
	}
	all := b.processes(side, contracts.UserService)
	next := func() []byte { return load.Request(http.MethodPost, "/users", b.newUser(), headers...) }
	return target{side, load.Job{Addr: addr, Status: http.StatusCreated, Next: next}, all[0], all}, nil
}

func (b *Bench) newUser() string {
	return fmt.Sprintf(`{"email":"ada.%d@example.com","name":"Ada Lovelace"}`, b.number())
}

func (b *Bench) postOrder(ctx context.Context, side report.Side) (target, error) {
	addr, headers, err := b.addr(side, contracts.OrderService)
	if err != nil {
		return target{}, err
	}
	ids, err := b.register(ctx, side, readers)
	if err != nil {
		return target{}, err
	}
	var requests [][]byte
	for _, id := range ids {
		body := fmt.Sprintf(`{"userId":%q,"currency":"USD","items":[{"sku":"tea-1","quantity":2,"unitPrice":450},`+
			`{"sku":"cup-7","quantity":1,"unitPrice":1290}]}`, id)
		requests = append(requests, load.Request(http.MethodPost, "/orders", body, headers...))
	}
	all := b.processes(side, contracts.OrderService, contracts.UserService)
	return target{side, load.Job{Addr: addr, Status: http.StatusCreated, Next: inTurn(requests)}, all[0], all}, nil
}

// register creates n users and gives their ids.
func (b *Bench) register(ctx context.Context, side report.Side, n int) ([]string, error) {
	addr, headers, err := b.addr(side, contracts.UserService)
	if err != nil {
		return nil, err
	}
	conn, err := load.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var ids []string
	for range n {
		id, err := create(conn, load.Request(http.MethodPost, "/users", b.newUser(), headers...))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// create sends a request that makes something, and gives its id.
func create(conn *load.Conn, request []byte) (string, error) {
	status, body, err := conn.Do(request)
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(body, &made); status != http.StatusCreated || err != nil || made.ID == "" {
		return "", fmt.Errorf("%.60q answered %d: %.300s", request, status, body)
	}
	return made.ID, nil
}
