package console

import (
	"bytes"
	"context"
	"strings"
)

const shownLines = 200 // of a trace

// logs returns the log lines of a trace, by its id.
func (c *Console) logs(ctx context.Context, id string) []logLine {
	found := &matching{id: id, lines: []logLine{}}
	if c.cfg.Stack != nil {
		_ = c.cfg.Stack.Logs(ctx, found, false, "") // shows what it has written until an error
	}
	return found.lines
}

// matching keeps the lines that contain an id. It is an [io.Writer] of "part | line".
type matching struct {
	id    string
	begun []byte // a line that has not ended
	lines []logLine
}

func (m *matching) Write(text []byte) (int, error) {
	m.begun = append(m.begun, text...)
	for {
		line, rest, ended := bytes.Cut(m.begun, []byte("\n"))
		if !ended {
			return len(text), nil
		}
		if bytes.Contains(line, []byte(m.id)) && len(m.lines) < shownLines {
			part, text, _ := strings.Cut(string(line), "|")
			m.lines = append(m.lines, logLine{Part: strings.TrimSpace(part), Text: cut(strings.TrimSpace(text), attributeLimit)})
		}
		m.begun = rest
	}
}
