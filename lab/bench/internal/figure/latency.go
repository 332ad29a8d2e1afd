package figure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
)

// latency measures how long an event takes from the beginning of its
// transaction to the call of the handler, at a steady rate; and the slowest one
// while a transaction in another database of the cluster stands idle.
func (b *Bench) latency(ctx context.Context) (Result, error) {
	p50, p99, slowest, held := samples{}, samples{}, samples{}, samples{}
	err := b.turns(ctx, func(ctx context.Context, side report.Side, r road.Road) error {
		free, err := b.steady(ctx, side, r, nil)
		if err != nil {
			return err
		}
		p50[side] = append(p50[side], report.Percentile(free, 0.5))
		p99[side] = append(p99[side], report.Percentile(free, 0.99))
		slowest[side] = append(slowest[side], report.Percentile(free, 1))
		idle, err := b.steady(ctx, side, r, b.standIdle)
		if err != nil {
			return err
		}
		held[side] = append(held[side], report.Percentile(idle, 1))
		return nil
	})
	title := fmt.Sprintf("outbox latency at %d/s, ", rate)
	foreign := report.Line{
		Name: fmt.Sprintf("slowest while a transaction stands idle for %v in another database", b.Plan.Idle), Unit: "ms",
		Values: held.medians(),
		Target: report.Target{Base: slowest.medians()[report.Ours], Of: "ours without it", Bound: 2},
	}
	return Result{Lines: []report.Line{
		report.Line{Name: title + "p50", Unit: "ms", Values: p50.medians()}.To(report.Tuned).AtMost(0.4),
		report.Line{Name: title + "p99", Unit: "ms", Values: p99.medians()}.To(report.Tuned).AtMost(0.45),
		{Name: title + "slowest", Unit: "ms", Values: slowest.medians()},
		foreign,
	}}, err
}

// steady writes at the rate, beside a disturbance if there is one, and gives
// the latency of every event.
func (b *Bench) steady(ctx context.Context, side report.Side, r road.Road, disturb func(context.Context) error) ([]time.Duration, error) {
	n := int(b.Plan.Steady.Seconds() * rate)
	t := b.newTally(n)
	run, err := b.start(ctx, side, r, t)
	if err != nil {
		return nil, err
	}
	var disturbing sync.WaitGroup
	var disturbed error
	if disturb != nil {
		disturbing.Go(func() { disturbed = disturb(run.ctx) })
	}
	sent, err := paced(run.ctx, r, t, n)
	if err == nil {
		err = t.wait(run.ctx, n)
	}
	disturbing.Wait()
	if err := errors.Join(err, disturbed, run.stop()); err != nil {
		return nil, err
	}
	took := make([]time.Duration, n)
	for i := range took {
		took[i] = time.Duration(t.at[i].Load()) - sent[i]
	}
	return took, nil
}

// paced writes n events at the rate, whether or not earlier ones are done, and
// gives the times at which it began each.
func paced(ctx context.Context, r road.Road, t *tally, n int) ([]time.Duration, error) {
	sent := make([]time.Duration, n)
	errs := make([]error, n)
	var writing sync.WaitGroup
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for i := range n {
		select {
		case <-ctx.Done():
			writing.Wait()
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
		sent[i] = t.now()
		writing.Go(func() { errs[i] = r.Write(ctx, road.NewEvent(t.slice, i)) })
	}
	writing.Wait()
	return sent, errors.Join(errs...)
}

// snapshot measures the latency while a snapshot of the publisher's own
// database, such as a backup takes, keeps the rows of a backlog that has long
// been carried.
func (b *Bench) snapshot(ctx context.Context) (result Result, err error) {
	ours, err := road.NewOurs(ctx, b.Lab)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	free, err := b.steady(ctx, report.Ours, ours, nil)
	if err != nil {
		return Result{}, err
	}
	release, err := ours.Snapshot(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if _, err := b.moveOnce(ctx, ours); err != nil {
		return Result{}, err
	}
	held, err := b.steady(ctx, report.Ours, ours, nil)
	if err != nil {
		return Result{}, err
	}
	return Result{Lines: []report.Line{{
		Name: fmt.Sprintf("latency p50 under an old snapshot with %d dead rows", b.Plan.Stocked), Unit: "ms",
		Values: map[report.Side]float64{report.Ours: report.Percentile(held, 0.5)},
		Target: report.Target{Base: report.Percentile(free, 0.5), Of: "ours without it", Bound: 2},
	}}}, nil
}

// standIdle holds a transaction that has an id open in a database of its own.
func (b *Bench) standIdle(ctx context.Context) (err error) {
	name, err := b.Lab.TakeDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Lab.ReturnDatabase(name)) }()
	conn, err := pgx.Connect(ctx, b.Lab.URL(name))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if _, err := tx.Exec(ctx, `SELECT pg_current_xact_id()`); err != nil {
		return fmt.Errorf("take a transaction id: %w", err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(b.Plan.Idle):
	}
	return nil
}
