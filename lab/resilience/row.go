package resilience

import (
	"fmt"
	"strings"
	"time"
)

// Row is the result of one fault.
type Row struct {
	Fault  string
	Test   string // its name, with that of the subtest
	Source string // file of the test
	Calls  int
	Failed int
	Ended  bool // the test came to its end

	results []string
	missed  []string
	broken  []string
}

// Count adds calls. None may have failed.
func (r *Row) Count(what string, t Counts) {
	r.Calls += t.Calls
	r.Failed += t.Failed
	r.Measured("%d %s, p99 %s", t.Calls, what, Short(t.Percentile(0.99)))
	if t.Calls == 0 || t.Failed > 0 {
		text := fmt.Sprintf("%d of %d %s failed", t.Failed, t.Calls, what)
		r.missed = append(r.missed, text)
		r.broken = append(r.broken, fmt.Sprintf("%s, the first with: %v", text, t.First))
	}
}

// Measured adds a result that has no target.
func (r *Row) Measured(format string, args ...any) {
	r.results = append(r.results, fmt.Sprintf(format, args...))
}

// Holds adds something that must be so however busy the machine is.
func (r *Row) Holds(ok bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.results = append(r.results, text)
	if !ok {
		r.missed = append(r.missed, text)
		r.broken = append(r.broken, text)
	}
}

// AtMost adds a measured number with its target. Above the limit, which leaves
// room for a busy machine, it is broken.
func (r *Row) AtMost(name string, got, target, limit float64) {
	r.compare(fmt.Sprintf("%s %.3g (≤ %.3g)", name, got, target), got <= target, got <= limit)
}

// AtLeast is AtMost for what is to be large.
func (r *Row) AtLeast(name string, got, target, limit float64) {
	r.compare(fmt.Sprintf("%s %.3g (≥ %.3g)", name, got, target), got >= target, got >= limit)
}

// Within is AtMost for a time.
func (r *Row) Within(name string, got, target, limit time.Duration) {
	r.compare(fmt.Sprintf("%s %s (≤ %s)", name, Short(got), Short(target)), got <= target, got <= limit)
}

func (r *Row) compare(text string, held, tolerable bool) {
	r.results = append(r.results, text)
	if !held {
		r.missed = append(r.missed, text)
	}
	if !tolerable {
		r.broken = append(r.broken, text)
	}
}

// Held reports whether the test came to its end and every target was reached.
func (r *Row) Held() bool { return r.Ended && len(r.missed) == 0 }

// Broken returns what was missed beyond its limit.
func (r *Row) Broken() []string { return r.broken }

// Verdict returns "held" or "MISSED".
func (r *Row) Verdict() string {
	if r.Held() {
		return "held"
	}
	return "MISSED"
}

// String returns the row as one line.
func (r *Row) String() string {
	text := fmt.Sprintf("%-58s %6d calls %3d failed  %s", r.Fault, r.Calls, r.Failed, strings.Join(r.results, "; "))
	if len(r.missed) > 0 {
		text += "  NOT: " + strings.Join(r.missed, "; ")
	}
	return text + "  " + r.Verdict()
}

// Summary returns the closing line: how many rows held.
func Summary(rows []*Row) string {
	held := 0
	for _, r := range rows {
		if r.Held() {
			held++
		}
	}
	return fmt.Sprintf("chaos: %d of %d held", held, len(rows))
}

// Table returns rows as a Markdown table; the tests' sources are linked from docs/.
func Table(rows []*Row) string {
	var b strings.Builder
	b.WriteString("| Fault | calls | failed | measured (target) | | test |\n| --- | ---: | ---: | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | [%s](../lab/resilience/%s) |\n",
			r.Fault, r.Calls, r.Failed, strings.Join(r.results, "; "), r.Verdict(), r.Test, r.Source)
	}
	return b.String()
}

// Short writes a duration with about three digits.
func Short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}
