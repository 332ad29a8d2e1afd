package local_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/tools/stack/internal/local"
)

// Services sign with the demo's secret, unless the environment or STACK_KEYS says otherwise.
func TestKeys(t *testing.T) {
	t.Parallel()
	demo := []string{"SERVICE_SECRET=" + serviceauth.DemoSecret}
	for entry, want := range map[string][]string{
		"A=1": demo, "SERVICE_SECRET=": demo, "SERVICE_SECRETS_FILE=": demo, "SERVICE_SECRET_NAME=x": demo,
		"SERVICE_SECRET=x": nil, "SERVICE_SECRETS=k:x": nil, "SERVICE_KEY=x": nil,
		"SERVICE_SECRET_FILE=/x": nil, "SERVICE_SECRETS_FILE=/x": nil, "SERVICE_KEY_FILE=/x": nil,
		"STACK_KEYS=/k": {"SERVICE_KEY_FILE=/k/user-service.pem", "SERVICE_PUBLIC_KEYS_FILE=/k/public-keys",
			"USER_TOKEN_KEY_FILE=/k/access-tokens.key"},
	} {
		if diff := cmp.Diff(want, local.Keys([]string{entry}, "user-service")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", entry, diff)
		}
	}
}

// logged makes a run folder with these logs.
func logged(t *testing.T, logs map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for part, text := range logs {
		if err := os.WriteFile(filepath.Join(dir, "logs", part+".log"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLogs(t *testing.T) {
	t.Parallel()
	dir := logged(t, map[string]string{
		"user-service-1": "one\n", "user-service-2": "two\nunfinished", "order-service": "three\n", "redis": "four\n",
	})
	for name, want := range map[string]string{
		"user-service":   "user-service-1    | one\nuser-service-2    | two\n",
		"user-service-2": "user-service-2    | two\n",
		"redis":          "redis             | four\n",
	} {
		var out strings.Builder
		if err := local.Logs(t.Context(), dir, &out, false, name); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var all strings.Builder
	if err := local.Logs(t.Context(), dir, &all, false, ""); err != nil || strings.Count(all.String(), "\n") != 4 {
		t.Errorf("all logs: %q, %v", all.String(), err)
	}
	if local.Logs(t.Context(), dir, &all, false, "nobody") == nil {
		t.Error("nobody has logs")
	}
}

// lines hands on what is written to it.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestLogsFollowUntilTheStackIsGone(t *testing.T) {
	t.Parallel()
	dir := logged(t, map[string]string{"redis": "first\nsec"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := make(lines)
	done := make(chan error)
	go func() { done <- local.Logs(ctx, dir, out, true, "redis") }()
	if got := <-out; !strings.HasSuffix(got, "| first\n") {
		t.Errorf("got %q", got)
	}
	log, err := os.OpenFile(filepath.Join(dir, "logs", "redis.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.WriteString("ond\n"); err != nil {
		t.Fatal(err)
	}
	if got := <-out; !strings.HasSuffix(got, "| second\n") {
		t.Errorf("got %q", got)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
