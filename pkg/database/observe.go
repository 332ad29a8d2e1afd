package database

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-troika/troika/pkg/metrics"
	"github.com/go-troika/troika/pkg/tracing"
)

const system = "postgresql" // db.system.name of the semantic conventions

// Observe counts the statements in m from now on.
func (d *DB) Observe(m *metrics.Metrics) { d.observer.metrics.Store(m) }

// observer counts statements, and traces those that belong to a recorded trace, with their text and
// without values. It implements pgx.QueryTracer, pgx.BatchTracer and pgx.ConnectTracer.
type observer struct {
	name    string // of the database
	metrics atomic.Pointer[metrics.Metrics]
}

// statement is one that runs, or a batch of them.
type statement struct {
	began time.Time
	span  trace.Span
}

type statementKey struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (o *observer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return o.start(ctx, data.SQL)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (o *observer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if s, ok := ctx.Value(statementKey{}).(*statement); ok && s.span.IsRecording() {
		s.span.SetAttributes(attribute.Int64("db.response.affected_rows", data.CommandTag.RowsAffected()))
	}
	o.end(ctx, data.Err)
}

// TraceBatchStart implements pgx.BatchTracer.
func (o *observer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if len(data.Batch.QueuedQueries) == 0 {
		return ctx
	}
	return o.start(ctx, data.Batch.QueuedQueries[0].SQL)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (o *observer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (o *observer) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	o.end(ctx, data.Err)
}

// TraceConnectStart implements pgx.ConnectTracer.
func (o *observer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return context.WithValue(ctx, connectKey{}, time.Now())
}

// TraceConnectEnd implements pgx.ConnectTracer. Only what fails is counted: connections are opened
// now and then, and statements count.
func (o *observer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	began, ok := ctx.Value(connectKey{}).(time.Time)
	if m := o.metrics.Load(); ok && m != nil && data.Err != nil && !errors.Is(data.Err, context.Canceled) {
		m.Database(ctx, system, "unavailable", time.Since(began))
	}
}

type connectKey struct{}

func (o *observer) start(ctx context.Context, sql string) context.Context {
	s := &statement{began: time.Now()}
	ctx, s.span = tracing.Child(ctx, trace.SpanKindClient, system)
	if s.span.IsRecording() {
		s.span.SetName(summary(sql))
		s.span.SetAttributes(attribute.String("db.system.name", system), attribute.String("db.namespace", o.name),
			attribute.String("db.query.text", sql))
	}
	return context.WithValue(ctx, statementKey{}, s)
}

func (o *observer) end(ctx context.Context, err error) {
	s, ok := ctx.Value(statementKey{}).(*statement)
	if !ok {
		return
	}
	defer s.span.End()
	if m := o.metrics.Load(); m != nil && !errors.Is(err, context.Canceled) {
		m.Database(ctx, system, errorType(err), time.Since(s.began))
	}
	if err != nil && s.span.IsRecording() { // without the message, which may contain values
		code := codeOf(err)
		s.span.SetAttributes(attribute.String("db.response.status_code", code))
		s.span.SetStatus(codes.Error, code)
	}
}

// errorType returns "" if Postgres did what it was there for, even if that was to refuse a
// statement.
func errorType(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(Translate(err), ErrBusy):
		return "busy"
	case errors.Is(Translate(err), ErrUnavailable):
		return "unavailable"
	}
	return ""
}

var summaryPattern = regexp.MustCompile(`(?is)^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b(?:.*?\bFROM\b)?\s+"?(\w+)`)

// summary returns the operation and the table of a statement, such as "SELECT users", which names
// its span: few for all statements.
func summary(sql string) string {
	if found := summaryPattern.FindStringSubmatch(sql); found != nil {
		operation, _, _ := strings.Cut(found[1], " ")
		return strings.ToUpper(operation) + " " + found[2]
	}
	first, _, _ := strings.Cut(strings.TrimSpace(sql), " ")
	return strings.ToUpper(strings.TrimRight(first, ";"))
}
