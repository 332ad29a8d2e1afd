package console

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

const shownStory = 60 // lines

// runs starts at most one [Run] at a time and keeps what it prints. It is safe for
// concurrent use.
type runs struct {
	group sync.WaitGroup
	mu    sync.Mutex
	busy  bool
	text  []string
	begun string // a line that has not ended
}

// Story returns a writer whose lines the page shows.
func (c *Console) Story() io.Writer { return &c.runs }

func (r *runs) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := strings.Split(r.begun+string(text), "\n")
	r.begun = cut(lines[len(lines)-1], attributeLimit)
	for _, line := range lines[:len(lines)-1] {
		if strings.TrimSpace(line) != "" {
			r.text = append(r.text, cut(line, attributeLimit))
		}
	}
	r.text = r.text[max(0, len(r.text)-shownStory):]
	return len(text), nil
}

func (r *runs) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.text)
}

// start starts the run that in names, and returns at once.
func (c *Console) start(_ context.Context, in command) (result, error) {
	run := c.cfg.Runs[in.Name]
	if run == nil {
		return result{}, fmt.Errorf("no run %q", in.Name)
	}
	r := &c.runs
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		return result{}, fmt.Errorf("another run is not over")
	}
	r.busy, r.text = true, nil
	r.group.Go(func() {
		err := run(c.life, r)
		if err != nil {
			fmt.Fprintln(r, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.busy = false
	})
	return result{Message: in.Name + " has started"}, nil
}
