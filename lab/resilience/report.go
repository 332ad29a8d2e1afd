package resilience

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

const opening, closing = "<!-- chaos -->", "<!-- /chaos -->"

var errMarkers = errors.New("page has no pair of markers " + opening)

// Summary is the closing line: how many rows held.
func Summary(rows []*Row) string {
	held := 0
	for _, r := range rows {
		if r.Held() {
			held++
		}
	}
	return fmt.Sprintf("chaos: %d of %d held", held, len(rows))
}

// Table is rows as a Markdown table; the tests' sources are linked from docs/.
func Table(rows []*Row) string {
	var b strings.Builder
	b.WriteString("| Fault | calls | failed | measured (target) | | test |\n| --- | ---: | ---: | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | [%s](../lab/resilience/%s) |\n",
			r.Fault, r.Calls, r.Failed, strings.Join(r.figures, "; "), r.Verdict(), r.Test, r.Source)
	}
	return b.String()
}

// LoadAverage is how many processes wanted a processor in the last minute,
// "unknown" where there is no /proc.
func LoadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	average, _, _ := strings.Cut(string(text), " ")
	return average
}

// Write puts text into the page at path, between its markers.
func Write(path, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, opened := strings.Cut(string(page), opening)
	_, after, closed := strings.Cut(rest, closing)
	if !opened || !closed {
		return fmt.Errorf("%s: %w", path, errMarkers)
	}
	return os.WriteFile(path, []byte(before+opening+"\n\n"+strings.TrimSpace(text)+"\n\n"+closing+after), 0o644)
}
