package report

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// Table returns lines as a Markdown table, with a column for each side in them.
func Table(lines []Line) string {
	head, rule := []string{"measurement"}, []string{"---"}
	var shown []Side
	for _, s := range sides {
		if slices.ContainsFunc(lines, func(l Line) bool { _, measured := l.Values[s]; return measured }) {
			shown = append(shown, s)
			head, rule = append(head, s.String()), append(rule, "---:")
		}
	}
	var b strings.Builder
	writeRow(&b, append(head, "ratio", "target", ""))
	writeRow(&b, append(rule, "---", "---", "---"))
	for _, l := range lines {
		writeRow(&b, l.cells(shown))
	}
	return b.String()
}

func writeRow(b *strings.Builder, cells []string) {
	fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
}

// ErrNoMarkers is returned for a page without the pair of markers.
var ErrNoMarkers = errors.New("page has no pair of markers")

// Write replaces what stands between the markers <!-- name --> and <!-- /name --> in
// the page at path with text. The error is ErrNoMarkers if the page lacks them.
func Write(path, name, text string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	opening, closing := "<!-- "+name+" -->", "<!-- /"+name+" -->"
	before, rest, opened := strings.Cut(string(page), opening)
	_, after, closed := strings.Cut(rest, closing)
	if !opened || !closed {
		return fmt.Errorf("%s: %w %s", path, ErrNoMarkers, name)
	}
	return os.WriteFile(path, []byte(before+opening+"\n\n"+strings.TrimSpace(text)+"\n\n"+closing+after), 0o644)
}
