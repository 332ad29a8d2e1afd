package logging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/logging"
	"github.com/go-troika/troika/pkg/tracing"
)

func TestLineCarriesServiceAndIDs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.New(&out, "user-service", logging.NewLevels(slog.LevelInfo))
	log.InfoContext(traced(t), "user registered", "userId", "42")
	want := map[string]any{
		"level": "INFO", "msg": "user registered", "service": "user-service", "userId": "42",
		"trace_id": "0102030405060708090a0b0c0d0e0f10", "span_id": "0102030405060708", "request_id": "r-1",
		"x_trace_id": "01020304-0506-0708-090a-0b0c0d0e0f10",
	}
	got := line(t, &out)
	stamp, _ := got["time"].(string)
	if at, err := time.Parse(time.RFC3339Nano, stamp); err != nil || !strings.HasSuffix(stamp, "Z") || time.Since(at) > time.Minute {
		t.Errorf("time %q, %v; want now in UTC", stamp, err)
	}
	delete(got, "time")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestLineWithoutIDs(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logging.New(&out, "user-service", logging.NewLevels(slog.LevelInfo)).Info("started")
	got := line(t, &out)
	for _, key := range []string{"trace_id", "span_id", "request_id"} {
		if _, ok := got[key]; ok {
			t.Errorf("%s without a request", key)
		}
	}
}

func TestIDsStayAtTheTopInGroups(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.New(&out, "user-service", logging.NewLevels(slog.LevelInfo)).With("a", 1).
		WithGroup("outer").With("b", 2).WithGroup("").WithGroup("inner").With("c", 3)
	log.With("sibling", true) // must not leak into log
	log.InfoContext(traced(t), "x", "d", 4)
	got := line(t, &out)
	delete(got, "time")
	want := map[string]any{
		"level": "INFO", "msg": "x", "service": "user-service", "a": 1.0,
		"trace_id": "0102030405060708090a0b0c0d0e0f10", "span_id": "0102030405060708", "request_id": "r-1",
		"x_trace_id": "01020304-0506-0708-090a-0b0c0d0e0f10",
		"outer":      map[string]any{"b": 2.0, "inner": map[string]any{"c": 3.0, "d": 4.0}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("line (-want +got):\n%s", diff)
	}
}

func TestLoggersOfOneParentAreApart(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	parent := logging.New(&out, "user-service", logging.NewLevels(slog.LevelInfo)).WithGroup("g").With("a", 1, "b", 2, "c", 3)
	first := parent.With("first", true)
	_ = parent.With("second", true)
	first.Info("x")
	want := map[string]any{"a": 1.0, "b": 2.0, "c": 3.0, "first": true}
	if diff := cmp.Diff(want, line(t, &out)["g"]); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
}

func TestLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.New(&out, "user-service", logging.NewLevels(slog.LevelWarn))
	log.Info("quiet")
	if out.Len() != 0 || log.Enabled(t.Context(), slog.LevelInfo) {
		t.Errorf("below the level: %s", &out)
	}
	log.Warn("loud")
	if out.Len() == 0 {
		t.Error("at the level: nothing")
	}
}

func TestLevelsChangeWhileLoggersAreUsed(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	levels := logging.NewLevels(slog.LevelWarn)
	log := logging.New(&out, "user-service", levels).With("a", 1).WithGroup("g")
	for _, tt := range []struct {
		settings logging.Settings
		written  bool
	}{
		{logging.Settings{Level: slog.LevelInfo}, true},
		{logging.Settings{Level: slog.LevelWarn}, false},
		{logging.Settings{Level: slog.LevelWarn, Packages: map[string]slog.Level{"pkg": slog.LevelDebug}}, true},
		{logging.Settings{Level: slog.LevelWarn, Packages: map[string]slog.Level{"pkg/logging_test": slog.LevelDebug}}, true},
		{logging.Settings{Level: slog.LevelWarn, Packages: map[string]slog.Level{"pkg/log": slog.LevelDebug}}, false},
		{logging.Settings{Level: slog.LevelInfo, Packages: map[string]slog.Level{"logging_test": slog.LevelError}}, false},
		{logging.Settings{Level: slog.LevelInfo, Packages: map[string]slog.Level{
			"pkg": slog.LevelError, "pkg/logging_test": slog.LevelInfo}}, true},
	} {
		out.Reset()
		levels.Set(tt.settings)
		log.Info("x")
		if written := out.Len() > 0; written != tt.written {
			t.Errorf("%+v: written: %v", tt.settings, written)
		}
	}
}

func TestLevelFromEnvironment(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]slog.Level{"": slog.LevelInfo, "debug": slog.LevelDebug, "ERROR": slog.LevelError} {
		cfg, err := env.Load[logging.Config]([]string{"LOG_LEVEL=" + text})
		if err != nil || cfg.Level != want {
			t.Errorf("%q: %v, %v; want %v", text, cfg.Level, err, want)
		}
	}
	if _, err := env.Load[logging.Config]([]string{"LOG_LEVEL=loud"}); err == nil {
		t.Error("loud is a level")
	}
}

func TestSecretNamesAreRedacted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.New(&out, "user-service", logging.NewLevels(slog.LevelInfo))
	const private = "ann@example.com"
	for _, key := range []string{"email", "Email", "password", "secret", "token", "Authorization", "Cookie", "X-Service-Token"} {
		log.Info("x", key, private)
		log.With(key, private).Info("x")
		log.WithGroup("g").Info("x", slog.Group("headers", key, private))
	}
	log.Info("x", "dsn", env.NewSecret(private))
	if strings.Contains(out.String(), private) {
		t.Errorf("logged:\n%s", &out)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	log := logging.New(io.Discard, "user-service", logging.NewLevels(slog.LevelInfo)).WithGroup("g").With("a", 1, "b", 2, "c", 3)
	ctx := traced(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				log.With("d", 4).InfoContext(ctx, "x", "e", 5)
				log.InfoContext(ctx, "x", "e", 5)
			}
		})
	}
	wg.Wait()
}

func BenchmarkLine(b *testing.B) {
	log := logging.New(io.Discard, "user-service", logging.NewLevels(slog.LevelInfo))
	ctx := traced(b)
	b.ReportAllocs()
	for b.Loop() {
		log.InfoContext(ctx, "request", "method", "GET", "route", "/users/:id", "status", 200)
	}
}

func traced(tb testing.TB) context.Context {
	tb.Helper()
	ctx := trace.ContextWithSpanContext(tb.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		SpanID:  trace.SpanID{1, 2, 3, 4, 5, 6, 7, 8},
	}))
	return tracing.WithRequestID(ctx, "r-1")
}

func line(t *testing.T, out *bytes.Buffer) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return got
}
