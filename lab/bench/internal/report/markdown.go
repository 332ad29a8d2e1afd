package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Table is lines as a Markdown table, with a column for everybody in them.
func Table(lines []Line) string {
	head, rule := []string{"figure"}, []string{"---"}
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

// ErrNoMarkers is returned for a page that does not say where text belongs.
var ErrNoMarkers = errors.New("page has no pair of markers")

// Write puts text into the page at path, between the markers <!-- name --> and
// <!-- /name -->, in place of what stands there. Of a page that does not exist
// it makes a bare one.
func Write(path, name, text string) error {
	page, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		page = []byte("# Performance\n\n" + opening(name) + "\n" + closing(name) + "\n")
	case err != nil:
		return fmt.Errorf("read page: %w", err)
	}
	replaced, err := Replace(string(page), name, text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(replaced), 0o644); err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

// Replace returns the page with text between the markers of that name. The error
// is ErrNoMarkers.
func Replace(page, name, text string) (string, error) {
	before, rest, opened := strings.Cut(page, opening(name))
	_, after, closed := strings.Cut(rest, closing(name))
	if !opened || !closed {
		return "", fmt.Errorf("%w %s", ErrNoMarkers, name)
	}
	return before + opening(name) + "\n\n" + strings.TrimSpace(text) + "\n\n" + closing(name) + after, nil
}

func opening(name string) string { return "<!-- " + name + " -->" }
func closing(name string) string { return "<!-- /" + name + " -->" }
