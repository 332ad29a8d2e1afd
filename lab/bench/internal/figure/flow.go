package figure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
)

// drain measures a backlog on its way through the outbox to the handlers, from
// the first handler's call to the last.
func (b *Bench) drain(ctx context.Context) (Result, error) {
	n := b.Plan.Backlog
	rates := samples{}
	err := b.turns(ctx, func(ctx context.Context, side report.Side, r road.Road) error {
		t := b.newTally(n)
		receiver := b.receive(ctx, side, r, t)
		carrier := b.launch(receiver.ctx, r.Carry)
		err := errors.Join(b.warmUp(carrier.ctx, r, t), carrier.stop())
		if err == nil {
			err = r.Fill(receiver.ctx, road.NewEvents(t.slice, n))
		}
		if err == nil {
			carrier = b.launch(receiver.ctx, r.Carry)
			err = errors.Join(t.wait(carrier.ctx, n), carrier.stop())
		}
		rates[side] = append(rates[side], perSecond(n-1, t.span()))
		return errors.Join(err, receiver.stop())
	})
	return Result{Lines: []report.Line{
		report.Line{Name: "drain of a backlog through the outbox to handlers", Unit: "ev/s", Values: rates.medians()}.
			To(report.Tuned).AtLeast(5),
	}}, err
}

// writers measures what goes end to end when many write at full speed, and how
// far the handlers are behind when they end.
func (b *Bench) writers(ctx context.Context) (Result, error) {
	rates, lags := samples{}, samples{}
	err := b.turns(ctx, func(ctx context.Context, side report.Side, r road.Road) error {
		t := b.newTally(1 << 18)
		run, err := b.start(ctx, side, r, t)
		if err != nil {
			return err
		}
		began := t.now()
		n, err := b.writeAll(run.ctx, t, b.Plan.Writers, b.Plan.Write, r.Write)
		ended := t.now()
		if err == nil {
			err = t.wait(run.ctx, n)
		}
		last := time.Duration(t.last.Load())
		rates[side] = append(rates[side], perSecond(n, last-began))
		lags[side] = append(lags[side], max(last-ended, 0).Seconds())
		return errors.Join(err, run.stop())
	})
	title := fmt.Sprintf("%d writers end to end", b.Plan.Writers)
	return Result{Lines: []report.Line{
		report.Line{Name: title, Unit: "ev/s", Values: rates.medians()}.To(report.Tuned),
		report.Line{Name: fmt.Sprintf("%s, lag after %v", title, b.Plan.Write), Unit: "s", Values: lags.medians()}.AtMost(0.1),
	}}, err
}

// writeAll has clients write for d and gives how many events they wrote.
func (b *Bench) writeAll(ctx context.Context, t *tally, clients int, d time.Duration, write func(context.Context, road.Event) error) (int, error) {
	var next atomic.Int64
	errs := make([]error, clients)
	deadline := time.Now().Add(d)
	var writing sync.WaitGroup
	for i := range clients {
		writing.Go(func() {
			for errs[i] == nil && time.Now().Before(deadline) {
				errs[i] = write(ctx, road.NewEvent(t.slice, int(next.Add(1)-1)))
			}
		})
	}
	writing.Wait()
	return int(next.Load()), errors.Join(errs...)
}

// consume measures the receiver alone, on a stream that is full: from the first
// handler's call to the last.
func (b *Bench) consume(ctx context.Context) (Result, error) {
	n := b.Plan.Stocked
	rates := samples{}
	err := b.turns(ctx, func(ctx context.Context, side report.Side, r road.Road) error {
		t := b.newTally(n)
		if err := r.Stock(ctx, road.NewEvents(t.slice, n)); err != nil {
			return err
		}
		run := b.receive(ctx, side, r, t)
		err := t.wait(run.ctx, n)
		rates[side] = append(rates[side], perSecond(n-1, t.span()))
		return errors.Join(err, run.stop())
	})
	return Result{Lines: []report.Line{
		report.Line{Name: "consumer drain, ours with inbox, others without a database", Unit: "ev/s", Values: rates.medians()}.
			To(report.Default).AtLeast(4),
	}}, err
}
