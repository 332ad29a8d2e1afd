package checkout_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/tools/stack/internal/checkout"
)

func TestFind(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	deep := filepath.Join(root, "services", "user-service", "internal")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := checkout.Find(deep); err == nil {
		t.Error("found a checkout without go.work")
	}
	if err := os.WriteFile(filepath.Join(root, "go.work"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := checkout.Find(deep); err != nil || got != root {
		t.Errorf("Find: %s, %v, want %s", got, err, root)
	}
}

func TestParseService(t *testing.T) {
	t.Parallel()
	got, err := checkout.ParseService([]byte("# one\nname: order-service\nport: 8082\nadminPort: 9082\nlater: 1\n"))
	want := checkout.Service{Name: "order-service", Port: 8082, AdminPort: 9082}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if got.Role() != "order_service" || got.Variable() != "ORDER_SERVICE" {
		t.Errorf("role %s, variable %s", got.Role(), got.Variable())
	}
	for _, text := range []string{
		"", "name: x", "name: 'x; DROP'\nport: 1\nadminPort: 2", "name: x\nport: 70000\nadminPort: 2", "name: [",
		"name: ../x\nport: 1\nadminPort: 1",
	} {
		if _, err := checkout.ParseService([]byte(text)); err == nil {
			t.Errorf("%q is taken for a service.yaml", text)
		}
	}
}

// What is accepted goes into SQL and paths.
func FuzzParseService(f *testing.F) {
	f.Add([]byte("name: order-service\nport: 8082\nadminPort: 9082\ncalls: [user-service]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := checkout.ParseService(text)
		if err != nil {
			return
		}
		for _, r := range s.Role() {
			if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
				t.Fatalf("role %q", s.Role())
			}
		}
		if s.Port < 1 || s.AdminPort > 65535 {
			t.Fatalf("ports %d and %d", s.Port, s.AdminPort)
		}
	})
}

func TestServicesAndModulesOfThisCheckout(t *testing.T) {
	t.Parallel()
	root, err := checkout.Find(".")
	if err != nil {
		t.Fatal(err)
	}
	services, err := checkout.Services(root)
	if err != nil || len(services) < 3 {
		t.Errorf("Services: %v, %v", services, err)
	}
	modules, err := checkout.Modules(root)
	if err != nil || len(modules) < 6 {
		t.Errorf("Modules: %v, %v", modules, err)
	}
}

func TestClaimIsExclusive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run")
	first, err := checkout.Claim(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := checkout.Claim(ctx, path); !errors.Is(err, checkout.ErrRunning) {
		t.Errorf("second claim: %v", err)
	}
	if !checkout.OwnedByUs(path) || checkout.OwnedByUs(filepath.Join(path, "nothing")) {
		t.Error("OwnedByUs is wrong")
	}
	if err := first.Remove(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(path + "*")
	if err != nil || left != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	again, err := checkout.Claim(t.Context(), path)
	if err != nil {
		t.Fatal("claim after Remove:", err)
	}
	_ = again.Remove()
}

func TestClaimEmptiesAnAbandonedFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run")
	abandoned := filepath.Join(path, "postgres", "data")
	if err := os.MkdirAll(abandoned, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := checkout.Claim(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abandoned); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data of the killed stack: %v, want that they are gone", err)
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
}

// The reaper of a killed stack holds the folder's lock until it has removed the folder.
func TestClaimWaitsForTheReaper(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run")
	killed, err := checkout.Claim(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	reaped := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { reaped <- killed.Remove() })
	d, err := checkout.Claim(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-reaped; err != nil {
		t.Error(err)
	}
	if err := d.Remove(); err != nil {
		t.Error(err)
	}
}
