package figure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
)

// takeover measures how long an event waits that is published in the moment in
// which the leading instance is killed, so that its lease runs out, or stopped.
// There is always a second one.
func (b *Bench) takeover(ctx context.Context) (result Result, err error) {
	ours, err := road.NewOurs(ctx, b.Lab)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	p := &pair{ours: ours, slice: b.newSlice()}
	defer func() { err = errors.Join(err, p.stop()) }()
	var killed, stopped []float64
	for range b.Plan.Takeovers {
		if err := p.complete(ctx); err != nil {
			return Result{}, err
		}
		took, err := p.kill(ctx)
		if err != nil {
			return Result{}, err
		}
		if err := p.complete(ctx); err != nil {
			return Result{}, err
		}
		killed = append(killed, report.Milliseconds(took))
		if took, err = p.hand(ctx); err != nil {
			return Result{}, err
		}
		stopped = append(stopped, report.Milliseconds(took))
	}
	line := func(what string, slowest []float64, limit float64) report.Line {
		return report.Line{Name: what, Unit: "ms", Values: map[report.Side]float64{report.Ours: slices.Max(slowest)}}.AtMost(limit)
	}
	return Result{
		Lines: []report.Line{
			line(fmt.Sprintf("takeover after the leading relay's instance was killed, slowest of %d", len(killed)), killed, 2500),
			line(fmt.Sprintf("handover when the leading instance stops, slowest of %d", len(stopped)), stopped, 1000),
		},
		Notes: []string{fmt.Sprintf("Median takeover %.0f ms, handover %.0f ms.", report.Median(killed), report.Median(stopped))},
	}, nil
}

// pair is two instances of the publishing service.
type pair struct {
	ours      *road.Ours
	slice     int64
	instances []*road.Instance
	published int
}

// complete brings the pair to two instances, of which one leads.
func (p *pair) complete(ctx context.Context) error {
	for len(p.instances) < 2 {
		i, err := p.ours.Start(ctx)
		if err != nil {
			return err
		}
		p.instances = append(p.instances, i)
	}
	if _, err := p.leader(ctx); err != nil {
		return err
	}
	_, err := p.publish(ctx, p.instances[0])
	return err
}

// leader is the place of the instance that leads.
func (p *pair) leader(ctx context.Context) (int, error) {
	at := -1
	var failed error
	err := until(ctx, runUpLimit, func() (bool, string) {
		var number int64
		number, failed = p.ours.Leader(ctx)
		at = slices.IndexFunc(p.instances, func(i *road.Instance) bool { return i.Number == number })
		return failed != nil || at >= 0, "no relay led"
	})
	return at, errors.Join(failed, err)
}

// kill ends the leading instance without a goodbye and times an event of the other.
func (p *pair) kill(ctx context.Context) (time.Duration, error) {
	return p.end(ctx, (*road.Instance).Kill)
}

// hand stops the leading instance and times an event of the other.
func (p *pair) hand(ctx context.Context) (time.Duration, error) {
	return p.end(ctx, (*road.Instance).Stop)
}

func (p *pair) end(ctx context.Context, end func(*road.Instance) error) (time.Duration, error) {
	at, err := p.leader(ctx)
	if err != nil {
		return 0, err
	}
	leaving, staying := p.instances[at], p.instances[1-at]
	p.instances = []*road.Instance{staying}
	ended := make(chan error, 1)
	go func() { ended <- end(leaving) }()
	took, err := p.publish(ctx, staying)
	return took, errors.Join(err, <-ended)
}

// publish writes an event and waits until it stands in the stream.
func (p *pair) publish(ctx context.Context, i *road.Instance) (time.Duration, error) {
	began := time.Now()
	if err := i.Write(ctx, road.NewEvent(p.slice, p.published)); err != nil {
		return 0, err
	}
	p.published++
	err := streamed(ctx, p.ours, int64(p.published))
	return time.Since(began), err
}

func (p *pair) stop() error {
	var errs []error
	for _, i := range p.instances {
		errs = append(errs, i.Stop())
	}
	return errors.Join(errs...)
}
