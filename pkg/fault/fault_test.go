package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/fault"
)

var errTaken = fault.New(fault.Conflict, "email_taken", "Email is already taken")

func TestRefinedCopiesMatchTheirOrigin(t *testing.T) {
	t.Parallel()
	refined := errTaken.With(io.EOF).WithDetail("d").WithFields(fault.Field{Name: "email", Message: "taken"}).
		WithRetryAfter(2 * time.Second)
	wrapped := fmt.Errorf("register user: %w", refined)
	if !errors.Is(wrapped, errTaken) {
		t.Error("a refined, wrapped copy is not its origin")
	}
	if !errors.Is(wrapped, io.EOF) {
		t.Error("the cause is lost")
	}
	if errors.Is(wrapped, fault.New(fault.Conflict, "other", "Email is already taken")) {
		t.Error("another code matches")
	}
	if errors.Is(refined, (*fault.Error)(nil)) {
		t.Error("a nil fault matches")
	}
}

func TestWithNeverMutates(t *testing.T) {
	t.Parallel()
	fields := []fault.Field{{Name: "a", Message: "is required"}}
	refined := errTaken.With(io.EOF).WithDetail("d").WithFields(fields...).WithRetryAfter(time.Second)
	fields[0].Name = "changed"
	refined.Fields()[0].Name = "changed"
	if got := refined.Fields()[0].Name; got != "a" {
		t.Errorf("field %q after a change outside", got)
	}
	if errTaken.Unwrap() != nil || errTaken.Detail() != "" || errTaken.Fields() != nil || errTaken.RetryAfter() != 0 {
		t.Errorf("the original changed: %+v", errTaken)
	}
}

func TestAccessors(t *testing.T) {
	t.Parallel()
	e := errTaken.With(io.EOF).WithDetail("ann").WithRetryAfter(-time.Second)
	if e.Kind() != fault.Conflict || e.Code() != "email_taken" || e.Message() != "Email is already taken" ||
		e.Detail() != "ann" || e.RetryAfter() != 0 {
		t.Errorf("accessors: %v %q %q %q %v", e.Kind(), e.Code(), e.Message(), e.Detail(), e.RetryAfter())
	}
	if want := "Email is already taken (ann): EOF"; e.Error() != want {
		t.Errorf("Error() = %q, want %q", e.Error(), want)
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	boom := errors.New("pq: secret internals")
	for _, tt := range []struct {
		name string
		err  error
		kind fault.Kind
		text string
	}{
		{"fault", errTaken, fault.Conflict, "Email is already taken"},
		{"wrapped fault", fmt.Errorf("a: %w", fmt.Errorf("b: %w", errTaken)), fault.Conflict, "Email is already taken"},
		{"joined fault", errors.Join(boom, errTaken), fault.Conflict, "Email is already taken"},
		{"fault over deadline", errTaken.With(context.DeadlineExceeded), fault.Conflict, "Email is already taken"},
		{"deadline", fmt.Errorf("query: %w", context.DeadlineExceeded), fault.Timeout, "The request took too long"},
		{"cancel", context.Canceled, fault.Internal, "Internal server error"},
		{"anything", boom, fault.Internal, "Internal server error"},
	} {
		got := fault.From(tt.err)
		if got.Kind() != tt.kind || got.Message() != tt.text {
			t.Errorf("%s: %v %q, want %v %q", tt.name, got.Kind(), got.Message(), tt.kind, tt.text)
		}
		if got.Kind() != fault.Conflict && !errors.Is(got, tt.err) {
			t.Errorf("%s: the cause is lost", tt.name)
		}
	}
	if fault.From(nil) != nil {
		t.Error("From(nil) is not nil")
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	want := map[fault.Kind]int{
		fault.Internal: 500, fault.Malformed: 400, fault.Unauthenticated: 401, fault.Forbidden: 403,
		fault.NotFound: 404, fault.MethodNotAllowed: 405, fault.Conflict: 409, fault.TooLarge: 413,
		fault.UnsupportedMedia: 415, fault.PreconditionFailed: 412, fault.PreconditionRequired: 428, fault.Unprocessable: 422, fault.TooMany: 429, fault.Unavailable: 503, fault.Timeout: 504,
		fault.Kind(200): 500,
	}
	got := map[fault.Kind]int{}
	for kind := range want {
		got[kind] = kind.Status()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
}
