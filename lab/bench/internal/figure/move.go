package figure

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
)

// move measures the carriers alone on a backlog, from the first entries in the
// stream to the last.
func (b *Bench) move(ctx context.Context) (result Result, err error) {
	compared := []report.Side{report.Floor, report.Ours}
	f := field{}
	defer func() { err = errors.Join(err, f.close()) }()
	for _, side := range compared {
		if f[side], err = b.road(ctx, side); err != nil {
			delete(f, side)
			return Result{}, err
		}
	}
	rates := samples{}
	for range b.Plan.Rounds {
		for _, side := range compared {
			runtime.GC()
			rate, err := b.moveOnce(ctx, f[side])
			if err != nil {
				return Result{}, fmt.Errorf("%s: %w", side, err)
			}
			rates[side] = append(rates[side], rate)
		}
	}
	return Result{Lines: []report.Line{
		report.Line{Name: "relay alone: to the log, and compare-and-append", Unit: "rows/s", Values: rates.medians()}.To(report.Floor),
	}}, nil
}

func (b *Bench) moveOnce(ctx context.Context, r road.Road) (float64, error) {
	n := int64(b.Plan.Stocked)
	before, err := r.Streamed(ctx)
	if err != nil {
		return 0, err
	}
	if err := r.Fill(ctx, road.NewEvents(b.newSlice(), int(n))); err != nil {
		return 0, err
	}
	run := b.launch(ctx, r.Carry)
	err = streamed(run.ctx, r, before+1)
	first := time.Now()
	already, errCount := r.Streamed(run.ctx)
	if err = errors.Join(err, errCount); err == nil {
		err = streamed(run.ctx, r, before+n)
	}
	return perSecond(int(before+n-already), time.Since(first)), errors.Join(err, run.stop())
}

// streamed waits until the stream was given n entries.
func streamed(ctx context.Context, r road.Road, n int64) error {
	var failed error
	err := until(ctx, waitLimit, func() (bool, string) {
		var have int64
		if have, failed = r.Streamed(ctx); failed != nil {
			return true, ""
		}
		return have >= n, fmt.Sprintf("the stream was given %d of %d entries", have, n)
	})
	return errors.Join(failed, err)
}
