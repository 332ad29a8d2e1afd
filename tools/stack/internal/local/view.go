package local

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/go-troika/troika/tools/stack/internal/world"
)

// Status returns every part's state.
func (s *Stack) Status(context.Context) (world.Status, error) {
	s.mu.Lock()
	ready := s.ready
	s.mu.Unlock()
	status := world.Status{Name: s.Name, World: world.Local, Ready: ready, Dir: s.dir.Path}
	for _, p := range s.snapshot() {
		status.Parts = append(status.Parts, p.status())
	}
	return status, nil
}

// Chaos does verb to every part that name means and that runs, or does not for
// [world.Start], and returns when it has taken effect.
func (s *Stack) Chaos(ctx context.Context, verb, name string) error {
	status, _ := s.Status(ctx)
	named, err := status.Named(name)
	if err != nil {
		return err
	}
	named = slices.DeleteFunc(named, func(p world.Part) bool { return (p.State == world.Exited) != (verb == world.Start) })
	if len(named) == 0 {
		return fmt.Errorf("nothing to %s: every %s is in that state", verb, name)
	}
	return together(s.snapshot(), func(p *part) error {
		if !slices.ContainsFunc(named, func(n world.Part) bool { return n.Name == p.name }) {
			return nil
		}
		return p.chaos(ctx, s.supervisor, verb)
	})
}

// Logs writes what the parts have printed.
func (s *Stack) Logs(ctx context.Context, out io.Writer, follow bool, name string) error {
	return Logs(ctx, s.dir.Path, out, follow, name)
}
