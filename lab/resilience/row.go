package resilience

import (
	"fmt"
	"strings"
	"time"
)

// Row is what came of one fault.
type Row struct {
	Fault  string
	Test   string // its name, with that of the subtest
	Source string // file of the test
	Calls  int
	Failed int
	Ended  bool // the test came to its end

	figures []string
	missed  []string
	broken  []string
}

// Count adds calls. None may have failed.
func (r *Row) Count(what string, t Tally) {
	r.Calls += t.Calls
	r.Failed += t.Failed
	r.Figure("%d %s, p99 %s", t.Calls, what, Short(t.Percentile(0.99)))
	if t.Calls == 0 || t.Failed > 0 {
		text := fmt.Sprintf("%d of %d %s failed", t.Failed, t.Calls, what)
		r.missed = append(r.missed, text)
		r.broken = append(r.broken, fmt.Sprintf("%s, the first with: %v", text, t.First))
	}
}

// Figure adds something measured that has no target.
func (r *Row) Figure(format string, args ...any) {
	r.figures = append(r.figures, fmt.Sprintf(format, args...))
}

// Holds adds something that must be so however busy the machine is.
func (r *Row) Holds(ok bool, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.figures = append(r.figures, text)
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

func (r *Row) compare(text string, held, bearable bool) {
	r.figures = append(r.figures, text)
	if !held {
		r.missed = append(r.missed, text)
	}
	if !bearable {
		r.broken = append(r.broken, text)
	}
}

// Held reports whether the test came to its end and every target was reached.
func (r *Row) Held() bool { return r.Ended && len(r.missed) == 0 }

// Broken lists what no busy machine excuses.
func (r *Row) Broken() []string { return r.broken }

// Verdict is "held" or "MISSED".
func (r *Row) Verdict() string {
	if r.Held() {
		return "held"
	}
	return "MISSED"
}

// String is the row as one line.
func (r *Row) String() string {
	text := fmt.Sprintf("%-58s %6d calls %3d failed  %s", r.Fault, r.Calls, r.Failed, strings.Join(r.figures, "; "))
	if len(r.missed) > 0 {
		text += "  NOT: " + strings.Join(r.missed, "; ")
	}
	return text + "  " + r.Verdict()
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
