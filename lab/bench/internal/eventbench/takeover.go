package eventbench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/bench/internal/command"
	"github.com/go-troika/troika/lab/bench/internal/pipeline"
	"github.com/go-troika/troika/lab/report"
)

// takeover measures how long an event waits that is published in the moment in which
// the leading instance is killed, so that its lease runs out, or stopped. There is
// always a second one.
func (b *Bench) takeover(ctx context.Context) (result command.Result, err error) {
	ours, err := pipeline.NewOurs(ctx, b.Servers)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, ours.Close()) }()
	p := &pair{ours: ours, slice: b.slices.Add(1)}
	defer func() { err = errors.Join(err, p.stop()) }()
	var killed, stopped []float64
	for range b.Plan.Takeovers {
		took, err := p.end(ctx, (*pipeline.Instance).Kill)
		if err != nil {
			return result, err
		}
		killed = append(killed, report.Milliseconds(took))
		if took, err = p.end(ctx, (*pipeline.Instance).Stop); err != nil {
			return result, err
		}
		stopped = append(stopped, report.Milliseconds(took))
	}
	line := func(name string, took []float64, limit float64) report.Line {
		return report.Line{
			Name: fmt.Sprintf("%s, slowest of %d", name, len(took)), Unit: "ms",
			Values: report.Values{report.Ours: slices.Max(took)},
		}.AtMost(limit)
	}
	return command.Result{
		Lines: []report.Line{
			line("takeover after the leading relay's instance was killed", killed, 2500),
			line("handover when the leading instance stops", stopped, 1000),
		},
		Notes: []string{fmt.Sprintf("Median takeover %.0f ms, handover %.0f ms.", report.Median(killed),
			report.Median(stopped))},
	}, nil
}

// pair is two instances of the publishing service.
type pair struct {
	ours      *pipeline.Ours
	slice     int64
	instances []*pipeline.Instance
	published int
}

// end ends the leading one of two instances and times an event of the other.
func (p *pair) end(ctx context.Context, end func(*pipeline.Instance) error) (time.Duration, error) {
	for len(p.instances) < 2 {
		i, err := p.ours.Start(ctx)
		if err != nil {
			return 0, err
		}
		p.instances = append(p.instances, i)
	}
	if _, err := p.publish(ctx, p.instances[0]); err != nil { // a relay leads
		return 0, err
	}
	leader := -1
	err := poll.Until(ctx, warmUpTime, func() error {
		number, err := p.ours.Leader(ctx)
		leader = slices.IndexFunc(p.instances, func(i *pipeline.Instance) bool { return i.Number == number })
		if err == nil && leader < 0 {
			err = errors.New("no relay leads")
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	leaving, staying := p.instances[leader], p.instances[1-leader]
	p.instances = []*pipeline.Instance{staying}
	ended := make(chan error, 1)
	go func() { ended <- end(leaving) }()
	took, err := p.publish(ctx, staying)
	return took, errors.Join(err, <-ended)
}

// publish writes an event and waits until it stands in the stream.
func (p *pair) publish(ctx context.Context, i *pipeline.Instance) (time.Duration, error) {
	began := time.Now()
	if err := i.Write(ctx, pipeline.NewEvent(p.slice, p.published)); err != nil {
		return 0, err
	}
	p.published++
	err := waitAppended(ctx, p.ours, int64(p.published))
	return time.Since(began), err
}

func (p *pair) stop() error {
	var errs []error
	for _, i := range p.instances {
		errs = append(errs, i.Stop())
	}
	return errors.Join(errs...)
}
