package figure

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-troika/troika/lab/bench/internal/report"
	"github.com/go-troika/troika/lab/bench/internal/road"
)

// insert measures what the event costs the transaction that publishes it.
// Nothing is carried meanwhile.
func (b *Bench) insert(ctx context.Context) (result Result, err error) {
	f, err := b.open(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	floor, ours := f[report.Floor].(*road.Floor), f[report.Ours].(*road.Ours)
	ways := []func(context.Context, road.Event) error{
		floor.WriteOutbox, floor.WriteAtOnce, floor.WriteNotifying, ours.WriteSilent, ours.Write, f[report.Default].Write,
	}
	rates := make([][]float64, len(ways))
	for round := range 1 + b.Plan.Rounds {
		for i, write := range ways {
			n, err := b.writeAll(ctx, b.newTally(0), clients, b.Plan.Insert, write)
			if err != nil {
				return Result{}, err
			}
			if round > 0 { // the first warms up
				rates[i] = append(rates[i], perSecond(n, b.Plan.Insert))
			}
		}
	}
	median := func(i int) float64 { return report.Median(rates[i]) }
	title := fmt.Sprintf("business and outbox row at %d clients", clients)
	return Result{
		Lines: []report.Line{
			report.Line{Name: title + ", floor pgx", Unit: "tx/s", Values: map[report.Side]float64{
				report.Floor: median(0), report.Ours: median(4), report.Default: median(5)}}.To(report.Floor),
			report.Line{Name: title + ", floor GORM without the event", Unit: "tx/s", Values: map[report.Side]float64{
				report.Floor: median(3), report.Ours: median(4)}}.To(report.Floor),
		},
		Notes: []string{fmt.Sprintf("Business and outbox row with pgx in one round trip: %.0f tx/s; with a NOTIFY inside the transaction: %.0f tx/s.",
			median(1), median(2))},
	}, nil
}
