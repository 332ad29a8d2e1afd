package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/serviceauth"
)

// The life of a key: made, used by stack token, joined by a second one, and dropped. At each
// step, the files are what services read.
func TestKeys(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	keys := func(want int, args ...string) string {
		t.Helper()
		r := drive(t, []string{"STACK_KEYS=" + dir}, append([]string{"keys"}, args...)...)
		if r.code != 0 || strings.Count(r.out, "\n") != want {
			t.Fatalf("keys %v: %+v, want %d lines", args, r, want)
		}
		return r.out
	}
	call := func() (serviceauth.Keys, error) {
		t.Helper()
		r := drive(t, []string{"STACK_KEYS=" + dir, "APP_ENV=production"}, "token", "--service", "operator", "--audience", "user-service")
		verifying := parse(t, dir, "user-service")
		_, err := serviceauth.NewVerifier(verifying, "user-service").Verify(
			map[string][]string{serviceauth.Header: {strings.TrimSpace(r.out)}})
		return verifying, err
	}

	made := keys(5, "make")
	for _, name := range []string{"gateway", "operator", "order-service", "profile-service", "user-service"} {
		if !strings.Contains(made, name) {
			t.Errorf("keys make prints nothing about %s: %s", name, made)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v; want mode 700", info, err)
	}
	if r := drive(t, nil, "keys", "make", "operator", "--dir", dir); r.code != 1 || !strings.Contains(r.err, "has a key already") {
		t.Errorf("keys make a second time: %+v", r)
	}
	before, err := call()
	if err != nil {
		t.Errorf("token under the first key: %v", err)
	}

	keys(2, "rotate", "operator")
	if _, err := call(); err != nil {
		t.Errorf("token under the second key: %v", err)
	}
	old, err := serviceauth.NewSigner(parse(t, dir, "operator"), "operator").Token("user-service")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serviceauth.NewVerifier(before, "user-service").Verify(map[string][]string{serviceauth.Header: {old}}); err == nil {
		t.Error("the second key is known before it is published")
	}
	if pruned := keys(1, "prune", "operator"); !strings.Contains(pruned, "signs") {
		t.Errorf("after prune: %s", pruned)
	}
	if _, err := call(); err != nil {
		t.Errorf("token after prune: %v", err)
	}
	// Keys may have been edited by hand.
	path := filepath.Join(dir, "operator.pem")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dos := strings.ReplaceAll(string(text)+string(serviceauth.NewPrivateKey()), "\n", "\r\n")
	if err := os.WriteFile(path, []byte(dos), 0o600); err != nil {
		t.Fatal(err)
	}
	keys(1, "prune", "operator")
	if _, err := call(); err != nil {
		t.Errorf("token after a prune of keys with CR LF: %v", err)
	}
	open := t.TempDir()
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if r := drive(t, nil, "keys", "make", "--dir", open); r.code != 1 || !strings.Contains(r.err, "entered by others") {
		t.Errorf("keys make in an open folder: %+v", r)
	}
	if r := drive(t, nil, "keys", "list", "--dir", t.TempDir()); r.code != 1 || !strings.Contains(r.err, "no keys in") {
		t.Errorf("keys list of an empty folder: %+v", r)
	}
	for _, args := range [][]string{{"keys"}, {"keys", "burn"}, {"keys", "make", "../x"}} {
		if r := drive(t, nil, args...); r.code != 2 {
			t.Errorf("%v: %+v, want exit code 2", args, r)
		}
	}
}

// parse reads the keys of a service from a folder as the service does.
func parse(t *testing.T, dir, service string) serviceauth.Keys {
	t.Helper()
	cfg, err := env.Load[serviceauth.Config]([]string{
		"SERVICE_KEY_FILE=" + filepath.Join(dir, service+".pem"), "SERVICE_PUBLIC_KEYS_FILE=" + filepath.Join(dir, "public-keys"),
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := serviceauth.ParseKeys(cfg, service, "production")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
