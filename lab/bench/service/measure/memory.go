package measure

import (
	"context"

	"github.com/go-troika/troika/e2e/poll"
	"github.com/go-troika/troika/lab/bench/internal/report"
)

func (b *Bench) idleMemory(ctx context.Context) ([]report.Line, error) {
	if err := poll.Sleep(ctx, b.Plan.Settle); err != nil {
		return nil, err
	}
	resident, proportional, err := b.memory()
	if err != nil {
		return nil, err
	}
	return []report.Line{
		line("memory of three idle processes, resident", "MiB", map[report.Side]float64{
			report.Ours: resident, report.Reference: reference.memory,
		}).To(report.Reference).AtMost(0.25),
		line("the same, proportional (PSS)", "MiB", map[report.Side]float64{report.Ours: proportional}),
	}, nil
}

// usedMemory is read after all load.
func (b *Bench) usedMemory(ctx context.Context) ([]report.Line, error) {
	if err := poll.Sleep(ctx, b.Plan.Settle); err != nil {
		return nil, err
	}
	resident, _, err := b.memory()
	if err != nil {
		return nil, err
	}
	return []report.Line{line("the same after all this load, resident", "MiB", map[report.Side]float64{report.Ours: resident})}, nil
}

// memory sums up our services, in MiB.
func (b *Bench) memory() (resident, proportional float64, err error) {
	for _, p := range b.ours {
		m, err := p.Memory()
		if err != nil {
			return 0, 0, err
		}
		resident += float64(m.Resident) / (1 << 20)
		proportional += float64(m.Proportional) / (1 << 20)
	}
	return resident, proportional, nil
}
