package eventbench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/go-troika/troika/lab/bench/internal/command"
	"github.com/go-troika/troika/lab/bench/internal/pipeline"
	"github.com/go-troika/troika/lab/report"
)

// drain measures a backlog on its way through the outbox to the handlers, from the first
// handler's call to the last.
func (b *Bench) drain(ctx context.Context) (command.Result, error) {
	n := b.Plan.Backlog
	rates := samples{}
	err := b.turns(ctx, all, func(ctx context.Context, side report.Side, p pipeline.Pipeline) error {
		c := b.newCounts(n)
		consumer := start(ctx, c.consume(p))
		relay := start(consumer.ctx, p.Relay)
		err := errors.Join(c.warmUp(relay.ctx, p), relay.stop())
		if err == nil {
			err = p.FillOutbox(consumer.ctx, pipeline.NewEvents(c.slice, n))
		}
		if err == nil {
			relay = start(consumer.ctx, p.Relay)
			err = errors.Join(c.wait(relay.ctx, n), relay.stop())
		}
		rates.add(side, c.rate(n))
		return errors.Join(err, consumer.stop())
	})
	return command.Result{Lines: []report.Line{
		report.Line{Name: "drain of a backlog through the outbox to handlers", Unit: "ev/s", Values: rates.medians()}.
			To(report.Tuned).AtLeast(5),
	}}, err
}

// rate returns how many of n events were handled a second, from the first to the last.
func (c *counts) rate(n int) float64 {
	first, last := c.span()
	return perSecond(n-1, last-first)
}

// writers measures what goes end to end when many write at full speed, and how far the
// handlers are behind when they end.
func (b *Bench) writers(ctx context.Context) (command.Result, error) {
	rates, lags := samples{}, samples{}
	err := b.turns(ctx, all, func(ctx context.Context, side report.Side, p pipeline.Pipeline) error {
		c := b.newCounts(1 << 18)
		run, err := startAll(ctx, p, c)
		if err != nil {
			return err
		}
		began := c.now()
		n, err := writeAll(run.ctx, c.slice, b.Plan.Writers, b.Plan.Write, p.Write)
		ended := c.now()
		if err == nil {
			err = c.wait(run.ctx, n)
		}
		_, last := c.span()
		rates.add(side, perSecond(n, last-began))
		lags.add(side, max(last-ended, 0).Seconds())
		return errors.Join(err, run.stop())
	})
	title := fmt.Sprintf("%d writers end to end", b.Plan.Writers)
	return command.Result{Lines: []report.Line{
		report.Line{Name: title, Unit: "ev/s", Values: rates.medians()}.To(report.Tuned),
		report.Line{Name: fmt.Sprintf("%s, lag after %v", title, b.Plan.Write), Unit: "s",
			Values: lags.medians()}.AtMost(0.1),
	}}, err
}

// writeAll runs clients that write for d, and returns how many events they wrote.
func writeAll(
	ctx context.Context, slice int64, clients int, d time.Duration, write func(context.Context, pipeline.Event) error,
) (int, error) {
	var n atomic.Int64
	deadline := time.Now().Add(d)
	var writing errgroup.Group
	for range clients {
		writing.Go(func() error {
			for time.Now().Before(deadline) {
				if err := write(ctx, pipeline.NewEvent(slice, int(n.Add(1)-1))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := writing.Wait()
	return int(n.Load()), err
}

// consume measures the consumer alone, on a stream that is full: from the first
// handler's call to the last.
func (b *Bench) consume(ctx context.Context) (command.Result, error) {
	n := b.Plan.Stream
	rates := samples{}
	err := b.turns(ctx, all, func(ctx context.Context, side report.Side, p pipeline.Pipeline) error {
		c := b.newCounts(n)
		if err := p.FillStream(ctx, pipeline.NewEvents(c.slice, n)); err != nil {
			return err
		}
		run := start(ctx, c.consume(p))
		err := c.wait(run.ctx, n)
		rates.add(side, c.rate(n))
		return errors.Join(err, run.stop())
	})
	return command.Result{Lines: []report.Line{
		report.Line{Name: "consumer drain, ours with inbox, others without a database", Unit: "ev/s",
			Values: rates.medians()}.
			To(report.Default).AtLeast(4),
	}}, err
}

// relay measures the relays alone on a backlog, from the first entries in the stream to
// the last.
func (b *Bench) relay(ctx context.Context) (command.Result, error) {
	rates := samples{}
	compared := []report.Side{report.Baseline, report.Ours}
	err := b.turns(ctx, compared, func(ctx context.Context, side report.Side, p pipeline.Pipeline) error {
		rate, err := b.relayOnce(ctx, p)
		rates.add(side, rate)
		return err
	})
	return command.Result{Lines: []report.Line{
		report.Line{Name: "relay alone: to the log, and compare-and-append", Unit: "rows/s", Values: rates.medians()}.
			To(report.Baseline),
	}}, err
}

func (b *Bench) relayOnce(ctx context.Context, p pipeline.Pipeline) (float64, error) {
	n := int64(b.Plan.Stream)
	before, err := p.Appended(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.FillOutbox(ctx, pipeline.NewEvents(b.slices.Add(1), int(n))); err != nil {
		return 0, err
	}
	run := start(ctx, p.Relay)
	errFirst := waitAppended(run.ctx, p, before+1)
	first := time.Now()
	already, errCount := p.Appended(run.ctx)
	errLast := waitAppended(run.ctx, p, before+n)
	rate := perSecond(int(before+n-already), time.Since(first))
	return rate, errors.Join(errFirst, errCount, errLast, run.stop())
}

// waitAppended waits until the stream has got n entries.
func waitAppended(ctx context.Context, p pipeline.Pipeline, n int64) error {
	var failed error
	err := reach(ctx, handleTime, "entries appended", n, func() (have int64) {
		if have, failed = p.Appended(ctx); failed != nil {
			return n
		}
		return have
	})
	return errors.Join(failed, err)
}

// insert measures what the event costs the transaction that publishes it. No relay runs.
func (b *Bench) insert(ctx context.Context) (result command.Result, err error) {
	opened, err := b.open(ctx, report.Baseline, report.Ours, report.Default)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, opened.close()) }()
	baseline, ours := opened[report.Baseline].(*pipeline.Baseline), opened[report.Ours].(*pipeline.Ours)
	writes := []func(context.Context, pipeline.Event) error{
		baseline.WriteOutbox, baseline.WriteAtOnce, baseline.WriteNotifying,
		ours.WriteWithoutEvent, ours.Write, opened[report.Default].Write,
	}
	rates := make([][]float64, len(writes))
	for round := range 1 + b.Plan.Rounds {
		for i, write := range writes {
			n, err := writeAll(ctx, b.slices.Add(1), clients, b.Plan.Insert, write)
			if err != nil {
				return result, err
			}
			if round > 0 { // the first warms up
				rates[i] = append(rates[i], perSecond(n, b.Plan.Insert))
			}
		}
	}
	median := func(i int) float64 { return report.Median(rates[i]) }
	title := fmt.Sprintf("business and outbox row at %d clients", clients)
	return command.Result{
		Lines: []report.Line{
			report.Line{Name: title + ", baseline pgx", Unit: "tx/s", Values: report.Values{
				report.Baseline: median(0), report.Ours: median(4), report.Default: median(5)}}.To(report.Baseline),
			report.Line{Name: title + ", baseline GORM without the event", Unit: "tx/s", Values: report.Values{
				report.Baseline: median(3), report.Ours: median(4)}}.To(report.Baseline),
		},
		Notes: []string{fmt.Sprintf("Business and outbox row with pgx in one round trip: %.0f tx/s; with a NOTIFY inside "+
			"the transaction: %.0f tx/s.", median(1), median(2))},
	}, nil
}
