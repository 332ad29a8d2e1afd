package figure_test

import (
	"testing"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/lab/labtest"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/lab/bench/internal/figure"
	"github.com/go-troika/troika/lab/bench/internal/lab"
	"github.com/go-troika/troika/lab/bench/internal/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tiny says nothing about speed; it only passes through everything.
var tiny = figure.Plan{
	Rounds: 1, Steady: 100 * time.Millisecond, Idle: 50 * time.Millisecond, Backlog: 100, Stocked: 200,
	Writers: 4, Write: 20 * time.Millisecond, Insert: 20 * time.Millisecond, Takeovers: 1, Memory: 300,
}

func TestEveryFigureIsTaken(t *testing.T) {
	t.Parallel()
	l := labtest.Open(t)
	for _, name := range figure.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			take(t, l, name)
		})
	}
}

func take(t *testing.T, l *lab.Lab, name string) {
	t.Helper()
	plan, said := tiny, 0
	plan.Only = []string{name}
	b := &figure.Bench{Lab: l, Plan: plan, Say: func(report.Line) { said++ }}
	result, err := b.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if said == 0 || said != len(result.Lines) {
		t.Errorf("%d lines were said, %d are in the result", said, len(result.Lines))
	}
	for _, line := range result.Lines {
		if _, measured := line.Values[report.Ours]; !measured {
			t.Errorf("%s: ours was not measured", line.Name)
		}
	}
}

func TestOnlyTheNamedFiguresAreTaken(t *testing.T) {
	t.Parallel()
	var said int
	b := &figure.Bench{Plan: figure.Plan{Only: []string{"memory"}}, Say: func(report.Line) { said++ }}
	if result, err := b.Run(t.Context()); err != nil || said+len(result.Lines) != 0 {
		t.Errorf("%d lines, error %v; a memory figure without a size is left out", said, err)
	}
}
