package chassis

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/tracing"
)

// redisObserver counts commands, and traces those that belong to a recorded trace, by name and
// without arguments. It is a hook of go-redis.
type redisObserver struct{ metrics *metrics.Metrics }

// DialHook implements redis.Hook.
func (redisObserver) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (o redisObserver) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return o.observe(ctx, cmd.Name(), func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook implements redis.Hook.
func (o redisObserver) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return o.observe(ctx, "pipeline", func(ctx context.Context) error { return next(ctx, cmds) })
	}
}

func (o redisObserver) observe(ctx context.Context, name string, run func(ctx context.Context) error) error {
	ctx, span := tracing.Child(ctx, trace.SpanKindClient, name)
	defer span.End()
	if span.IsRecording() {
		operation := strings.ToUpper(name)
		span.SetName(operation)
		span.SetAttributes(attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", operation))
	}
	began := time.Now()
	err := run(ctx)
	kind := redisErrorType(err)
	if name != "xread" && !errors.Is(err, context.Canceled) { // xread waits for entries
		o.metrics.Database(ctx, "redis", kind, time.Since(began))
	}
	if kind != "" {
		span.SetStatus(codes.Error, kind)
	}
	return err
}

// redisErrorType returns "" if Redis did what it was there for, even if that was to refuse a command.
func redisErrorType(err error) string {
	_, refused := errors.AsType[redis.Error](err) // redis.Nil too
	switch {
	case err == nil, refused, errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "unavailable"
}
