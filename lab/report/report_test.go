package report_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/lab/report"
)

func latency(ours, tuned float64) report.Line {
	return report.Line{
		Name: "latency", Unit: "ms", Values: report.Values{report.Ours: ours, report.Tuned: tuned},
	}.To(report.Tuned)
}

func TestTargets(t *testing.T) {
	t.Parallel()
	alone := report.Line{Name: "takeover", Unit: "ms", Values: report.Values{report.Ours: 80}}
	for name, c := range map[string]struct {
		line   report.Line
		missed bool
	}{
		"ratio within":             {latency(4, 8).AtMost(0.5), false},
		"ratio above":              {latency(4.1, 8).AtMost(0.5), true},
		"ratio reached":            {latency(40, 8).AtLeast(5), false},
		"ratio not reached":        {latency(39, 8).AtLeast(5), true},
		"own bound within":         {alone.AtMost(1000), false},
		"own bound above":          {alone.AtMost(79), true},
		"no bound, whatever it is": {latency(100, 1), false},
	} {
		if got := c.line.Missed(); got != c.missed {
			t.Errorf("%s: missed is %v, want %v", name, got, c.missed)
		}
	}
}

func TestTableShowsEverySideAndTheVerdict(t *testing.T) {
	t.Parallel()
	rate := report.Line{Name: "drain", Unit: "ev/s", Values: report.Values{
		report.Baseline: 37_200, report.Ours: 16_400.4, report.Tuned: 3_460}}
	got := report.Table([]report.Line{latency(3.25, 7.5).AtMost(0.4), rate.To(report.Baseline)})
	want := `| measurement | baseline | ours | Watermill tuned | ratio | target |  |
| --- | ---: | ---: | ---: | --- | --- | --- |
| latency, ms |  | 3.25 | 7.50 | 0.43 × Watermill tuned | ≤ 0.4 × | missed |
| drain, ev/s | 37,200 | 16,400 | 3,460 | 0.44 × baseline |  |  |
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLineIsOneLine(t *testing.T) {
	t.Parallel()
	got := latency(3.25, 7.5).AtMost(0.5).String()
	for _, want := range []string{"latency, ms", "ours 3.25", "Watermill tuned 7.50", "0.43 ×", "≤ 0.5 ×", "held"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if strings.Contains(got, "\n") {
		t.Errorf("%q has a line break", got)
	}
}

func TestWriteReplacesOnlyWhatIsBetweenItsMarkers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	page := "# Page\n\n<!-- a -->\nold\n<!-- /a -->\n\nbetween\n\n<!-- b -->\nkept\n<!-- /b -->\n"
	if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second changes nothing
		if err := report.Write(path, "a", "new"); err != nil {
			t.Fatal(err)
		}
	}
	want := "# Page\n\n<!-- a -->\n\nnew\n\n<!-- /a -->\n\nbetween\n\n<!-- b -->\nkept\n<!-- /b -->\n"
	if diff := cmp.Diff(want, read(t, path)); diff != "" {
		t.Error(diff)
	}
	if err := report.Write(path, "c", "new"); !errors.Is(err, report.ErrNoMarkers) {
		t.Errorf("got %v, want ErrNoMarkers", err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

func TestMedian(t *testing.T) {
	t.Parallel()
	values := []float64{5, 1, 4, 2}
	for n, want := range []float64{0, 5, 3, 4, 3} {
		if got := report.Median(values[:n]); got != want {
			t.Errorf("of %v: %v, want %v", values[:n], got, want)
		}
	}
	if values[0] != 5 {
		t.Error("the caller's values were sorted")
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	var all []time.Duration
	for i := range 200 {
		all = append(all, time.Duration(200-i)*time.Millisecond)
	}
	for p, want := range map[float64]time.Duration{0: 1, 0.5: 100, 0.99: 198, 1: 200} {
		if got := report.Percentile(all, p); got != want*time.Millisecond {
			t.Errorf("at %v: %v, want %v ms", p, got, int(want))
		}
	}
	if got := report.Percentile(nil, 0.5); got != 0 {
		t.Errorf("of none: %v", got)
	}
}
