package eventbench_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-troika/troika/lab/bench/internal/eventbench"
	"github.com/go-troika/troika/lab/bench/internal/servers"
	"github.com/go-troika/troika/lab/bench/internal/servers/serverstest"
	"github.com/go-troika/troika/lab/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tiny is too short to measure anything; it only runs everything.
var tiny = eventbench.Plan{
	Rounds: 1, Steady: 100 * time.Millisecond, Idle: 50 * time.Millisecond, Backlog: 100, Stream: 200,
	Writers: 4, Write: 20 * time.Millisecond, Insert: 20 * time.Millisecond, Takeovers: 1, Memory: 300,
}

func TestEveryMeasurement(t *testing.T) {
	t.Parallel()
	s := serverstest.Open(t)
	for _, name := range eventbench.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			measure(t, s, name)
		})
	}
}

func measure(t *testing.T, s *servers.Servers, name string) {
	t.Helper()
	said := 0
	b := &eventbench.Bench{Servers: s, Plan: tiny}
	result, err := b.Run(t.Context(), []string{name}, func(report.Line) { said++ })
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

func TestMemoryWithoutASizeIsLeftOut(t *testing.T) {
	t.Parallel()
	b := &eventbench.Bench{}
	if result, err := b.Run(t.Context(), []string{"memory"}, nil); err != nil || len(result.Lines) != 0 {
		t.Errorf("%d lines, error %v", len(result.Lines), err)
	}
}
