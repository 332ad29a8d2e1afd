package local_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
	"github.com/go-troika/troika/tools/stack/internal/local"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a stack of one part.
type fake struct{ done []string }

func (*fake) Status(context.Context) (stack.Status, error) {
	return stack.Status{Name: "x", World: stack.Local, Ready: true, Parts: []stack.Part{{Name: "redis", PID: 7}}}, nil
}

func (f *fake) Chaos(_ context.Context, verb, name string) error {
	f.done = append(f.done, verb+" "+name)
	if name != "redis" {
		return errors.New("no part named " + name)
	}
	return nil
}

func (*fake) Logs(context.Context, io.Writer, bool, string) error { return nil }
func (*fake) Down(context.Context) error                          { return nil }

func TestServeAndAttach(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "control") // t.TempDir's path may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if _, up := local.Attach(t.Context(), dir); up {
		t.Fatal("attached to nothing")
	}
	fake := &fake{}
	asked := make(chan struct{})
	closeServer, err := local.Serve(checkout.SocketIn(dir), fake, func() { close(asked) })
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(checkout.SocketIn(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v, want that only its owner may open it", info.Mode(), err)
	}
	c, up := local.Attach(t.Context(), dir)
	if !up {
		t.Fatal("cannot attach")
	}
	status, err := c.Status(t.Context())
	want, _ := fake.Status(t.Context())
	if diff := cmp.Diff(want, status); err != nil || diff != "" {
		t.Errorf("error %v, status (-want +got):\n%s", err, diff)
	}
	if err := c.Chaos(t.Context(), stack.Kill, "redis"); err != nil {
		t.Error(err)
	}
	if err := c.Chaos(t.Context(), stack.Kill, "nobody"); err == nil || err.Error() != "no part named nobody" {
		t.Errorf("Chaos: %v, want the stack's own words", err)
	}
	if diff := cmp.Diff([]string{"kill redis", "kill nobody"}, fake.done); diff != "" {
		t.Errorf("chaos (-want +got):\n%s", diff)
	}
	removed := make(chan error, 1)
	go func() { <-asked; removed <- os.RemoveAll(dir) }()
	if err := c.Down(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
	if err := closeServer(); err != nil {
		t.Error(err)
	}
}

func TestServeRefusesATooLongPath(t *testing.T) {
	t.Parallel()
	long := filepath.Join(t.TempDir(), strings.Repeat("x", 200))
	if _, err := local.Serve(long, &fake{}, nil); err == nil {
		t.Error("listens on a path that is too long")
	}
}
