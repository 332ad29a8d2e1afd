package eventbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/bench/internal/command"
	"github.com/go-troika/troika/lab/bench/internal/pipeline"
	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/lab/report"
)

// latency measures how long an event takes from the beginning of its transaction to the
// call of the handler, at a steady rate; and the slowest one while a transaction in
// another database of the server stands idle.
func (b *Bench) latency(ctx context.Context) (command.Result, error) {
	other := servers.NewName()
	if err := b.Servers.CreateDatabase(ctx, other); err != nil {
		return command.Result{}, err
	}
	p50, p99, slowest, held := samples{}, samples{}, samples{}, samples{}
	err := b.turns(ctx, all, func(ctx context.Context, side report.Side, p pipeline.Pipeline) error {
		free, err := b.steady(ctx, p, nil)
		if err != nil {
			return err
		}
		p50.add(side, milliseconds(free, 0.5))
		p99.add(side, milliseconds(free, 0.99))
		slowest.add(side, milliseconds(free, 1))
		idle, err := b.steady(ctx, p, func(ctx context.Context) error { return b.standIdle(ctx, other) })
		held.add(side, milliseconds(idle, 1))
		return err
	})
	title := fmt.Sprintf("outbox latency at %d/s, ", rate)
	return command.Result{Lines: []report.Line{
		report.Line{Name: title + "p50", Unit: "ms", Values: p50.medians()}.To(report.Tuned).AtMost(0.4),
		report.Line{Name: title + "p99", Unit: "ms", Values: p99.medians()}.To(report.Tuned).AtMost(0.45),
		{Name: title + "slowest", Unit: "ms", Values: slowest.medians()},
		{
			Name: fmt.Sprintf("slowest while a transaction stands idle for %v in another database", b.Plan.Idle), Unit: "ms",
			Values: held.medians(),
			Target: report.Target{Base: slowest.medians()[report.Ours], Of: "ours without it", Bound: 2},
		},
	}}, err
}

func milliseconds(durations []time.Duration, p float64) float64 {
	return report.Milliseconds(report.Percentile(durations, p))
}

// steady writes at the rate, beside a disturbance if there is one, and returns the
// latency of every event.
func (b *Bench) steady(
	ctx context.Context, p pipeline.Pipeline, disturb func(context.Context) error,
) ([]time.Duration, error) {
	n := int(b.Plan.Steady.Seconds() * rate)
	c := b.newCounts(n)
	run, err := startAll(ctx, p, c)
	if err != nil {
		return nil, err
	}
	disturbed := make(chan error, 1)
	if disturb == nil {
		disturbed <- nil
	} else {
		go func() { disturbed <- disturb(run.ctx) }()
	}
	sent, err := paced(run.ctx, p, c, n)
	if err == nil {
		err = c.wait(run.ctx, n)
	}
	if err := errors.Join(err, <-disturbed, run.stop()); err != nil {
		return nil, err
	}
	took := make([]time.Duration, n)
	for i := range took {
		took[i] = time.Duration(c.at[i].Load()) - sent[i]
	}
	return took, nil
}

// paced writes n events at the rate, whether or not earlier ones are done, and returns
// the times at which it began each.
func paced(ctx context.Context, p pipeline.Pipeline, c *counts, n int) ([]time.Duration, error) {
	sent, errs := make([]time.Duration, n), make([]error, n)
	var writing sync.WaitGroup
	defer writing.Wait()
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for i := range n {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		sent[i] = c.now()
		writing.Go(func() { errs[i] = p.Write(ctx, pipeline.NewEvent(c.slice, i)) })
	}
	writing.Wait()
	return sent, errors.Join(errs...)
}

// snapshot measures the latency while a snapshot of the publisher's own database, such
// as a backup takes, keeps the rows of a backlog that has long been relayed.
func (b *Bench) snapshot(ctx context.Context) (result command.Result, err error) {
	ours, err := pipeline.NewOurs(ctx, b.Servers)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	free, err := b.steady(ctx, ours, nil)
	if err != nil {
		return result, err
	}
	release, err := ours.Snapshot(ctx)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if _, err := b.relayOnce(ctx, ours); err != nil {
		return result, err
	}
	held, err := b.steady(ctx, ours, nil)
	return command.Result{Lines: []report.Line{{
		Name: fmt.Sprintf("latency p50 under an old snapshot with %d dead rows", b.Plan.Stream), Unit: "ms",
		Values: report.Values{report.Ours: milliseconds(held, 0.5)},
		Target: report.Target{Base: milliseconds(free, 0.5), Of: "ours without it", Bound: 2},
	}}}, err
}

// standIdle holds a transaction that has an id open in a database.
func (b *Bench) standIdle(ctx context.Context, database string) error {
	conn, err := pgx.Connect(ctx, b.Servers.URL(database))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx)) // ends the transaction, too
	if _, err := conn.Exec(ctx, `BEGIN; SELECT pg_current_xact_id()`); err != nil {
		return fmt.Errorf("take a transaction id: %w", err)
	}
	_ = poll.Sleep(ctx, b.Plan.Idle)
	return nil
}
