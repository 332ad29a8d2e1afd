package tracing_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/tracing"
)

const (
	parentA = "00-" + traceA + "-1234567890123456-01"
	tail    = "-1234567890123456-01"
)

// through sends headers in and answers the headers of a call that follows, as the
// W3C working group's harness does with a service under test.
func through(t *testing.T, in http.Header) http.Header {
	t.Helper()
	ctx, span := silent(t).StartServer(t.Context(), in, "test", true)
	defer span.End()
	out := http.Header{}
	tracing.Inject(ctx, out, "user-service")
	parts := strings.Split(out.Get("traceparent"), "-")
	if len(parts) != 4 || parts[0] != "00" || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
		t.Fatalf("outgoing traceparent %q is malformed", out.Get("traceparent"))
	}
	if parts[2] == "1234567890123456" {
		t.Error("outgoing traceparent repeats the caller's span id")
	}
	return out
}

func continues(out http.Header) bool { return strings.Contains(out.Get("traceparent"), traceA) }

// TestTraceparent holds the traceparent cases of the W3C working group's suite
// (github.com/w3c/trace-context, test/test.py).
func TestTraceparent(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   http.Header
		want bool // the trace goes on
	}{
		"missing":                     {header(), false},
		"present":                     {header("traceparent", parentA), true},
		"duplicated":                  {header("traceparent", parentA, "traceparent", parentA), false},
		"two different":               {header("traceparent", parentA, "traceparent", "00-22345678901234567890123456789012"+tail), false},
		"name with dash":              {header("trace-parent", parentA), false},
		"name with dot":               {header("trace.parent", parentA), false},
		"name in mixed case":          {header("TrAcEpArEnT", parentA), true},
		"name in upper case":          {header("TRACEPARENT", parentA), true},
		"00 with a trailing dot":      {header("traceparent", parentA+"."), false},
		"00 with a further field":     {header("traceparent", parentA+"-what-the-future-will-be-like"), false},
		"00 with a trailing dash":     {header("traceparent", parentA+"-"), false},
		"cc":                          {header("traceparent", "cc-"+traceA+tail), true},
		"cc with a further field":     {header("traceparent", "cc-"+traceA+tail+"-what-the-future-will-be-like"), true},
		"cc with a dot":               {header("traceparent", "cc-"+traceA+tail+".what-the-future-will-be-like"), false},
		"version ff":                  {header("traceparent", "ff-"+traceA+tail), false},
		"version .0":                  {header("traceparent", ".0-"+traceA+tail), false},
		"version 0.":                  {header("traceparent", "0.-"+traceA+tail), false},
		"version in upper case":       {header("traceparent", "CC-"+traceA+tail), false},
		"version of three":            {header("traceparent", "000-"+traceA+tail), false},
		"version of four":             {header("traceparent", "0000-"+traceA+tail), false},
		"version of one":              {header("traceparent", "0-"+traceA+tail), false},
		"trace id zero":               {header("traceparent", "00-"+strings.Repeat("0", 32)+tail), false},
		"trace id begins with a dot":  {header("traceparent", "00-."+traceA[1:]+tail), false},
		"trace id ends with a dot":    {header("traceparent", "00-"+traceA[:31]+"."+tail), false},
		"trace id too long":           {header("traceparent", "00-"+traceA+"3"+tail), false},
		"trace id too short":          {header("traceparent", "00-"+traceA[:31]+tail), false},
		"trace id in upper case":      {header("traceparent", "00-ABCDEF78901234567890123456789012"+tail), false},
		"parent id zero":              {header("traceparent", "00-"+traceA+"-0000000000000000-01"), false},
		"parent id begins with a dot": {header("traceparent", "00-"+traceA+"-.234567890123456-01"), false},
		"parent id ends with a dot":   {header("traceparent", "00-"+traceA+"-123456789012345.-01"), false},
		"parent id too long":          {header("traceparent", "00-"+traceA+"-12345678901234567-01"), false},
		"parent id too short":         {header("traceparent", "00-"+traceA+"-123456789012345-01"), false},
		"parent id in upper case":     {header("traceparent", "00-"+traceA+"-ABCDEF7890123456-01"), false},
		"flags begin with a dot":      {header("traceparent", "00-"+traceA+"-1234567890123456-.0"), false},
		"flags end with a dot":        {header("traceparent", "00-"+traceA+"-1234567890123456-0."), false},
		"flags too long":              {header("traceparent", "00-"+traceA+"-1234567890123456-001"), false},
		"flags too short":             {header("traceparent", "00-"+traceA+"-1234567890123456-1"), false},
		"blank before":                {header("traceparent", " "+parentA), true},
		"tab before":                  {header("traceparent", "\t"+parentA), true},
		"blank after":                 {header("traceparent", parentA+" "), true},
		"tab after":                   {header("traceparent", parentA+"\t"), true},
		"blanks around":               {header("traceparent", "\t "+parentA+" \t"), true},
		"empty":                       {header("traceparent", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := continues(through(t, tc.in)); got != tc.want {
				t.Errorf("trace goes on: %v, want %v", got, tc.want)
			}
		})
	}
}

// TestFlags holds what Level 2 adds: the random flag travels, fresh ids set it and
// unknown flags are cleared.
func TestFlags(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"00": "00", "01": "01", "02": "02", "03": "03", "ff": "03", "fc": "00"} {
		out := through(t, header("traceparent", "00-"+traceA+"-1234567890123456-"+in))
		if got := out.Get("traceparent")[53:]; got != want {
			t.Errorf("flags %s became %s, want %s", in, got, want)
		}
	}
	if got := through(t, header()).Get("traceparent")[53:]; got != "02" {
		t.Errorf("a fresh trace has flags %s, want 02", got)
	}
	given := through(t, header("X-Trace-ID", "12345678-9012-3456-7890-123456789012"))
	if got := given.Get("traceparent")[53:]; got != "00" {
		t.Errorf("a trace id from a stranger has flags %s, want 00: nobody knows how random it is", got)
	}
}

// TestTracestate holds the tracestate cases of the same suite, with the key
// grammar of Level 2.
func TestTracestate(t *testing.T) {
	t.Parallel()
	const (
		allKey   = "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
		allValue = " !\"#$%&'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
	)
	members := make([]string, 33)
	for i := range members {
		members[i] = "bar" + string(rune('a'+i/10)) + string(rune('0'+i%10)) + "=1"
	}
	for name, tc := range map[string]struct {
		lines []string
		want  string
	}{
		"one line":                      {[]string{"foo=1,bar=2"}, "foo=1,bar=2"},
		"empty":                         {[]string{""}, ""},
		"empty line after":              {[]string{"foo=1", ""}, "foo=1"},
		"empty line before":             {[]string{"", "foo=1"}, "foo=1"},
		"empty members":                 {[]string{",foo=1,, ,\t,bar=2,"}, "foo=1,bar=2"},
		"several lines":                 {[]string{"foo=1,bar=2", "rojo=1,congo=2", "baz=3"}, "foo=1,bar=2,rojo=1,congo=2,baz=3"},
		"equal members":                 {[]string{"foo=1,foo=1"}, "foo=1"},
		"equal keys":                    {[]string{"foo=1,foo=2"}, "foo=1"},
		"equal members on two lines":    {[]string{"foo=1", "foo=1"}, "foo=1"},
		"equal keys on two lines":       {[]string{"foo=1", "foo=2,bar=3"}, "foo=1,bar=3"},
		"all characters":                {[]string{allKey + "=" + allValue}, allKey + "=" + allValue},
		"all characters, with vendor":   {[]string{allKey + "@a-z0-9_-*/=" + allValue}, allKey + "@a-z0-9_-*/=" + allValue},
		"blanks":                        {[]string{"foo=1 \t , \t bar=2, \t baz=3"}, "foo=1,bar=2,baz=3"},
		"tabs":                          {[]string{"foo=1\t \t,\t \tbar=2,\t \tbaz=3"}, "foo=1,bar=2,baz=3"},
		"blanks around":                 {[]string{"\t foo=1 \t"}, "foo=1"},
		"blank within a value":          {[]string{"foo= a b"}, "foo= a b"},
		"blank after a key":             {[]string{"foo =1"}, ""},
		"upper case key":                {[]string{"FOO=1"}, ""},
		"dot in a key":                  {[]string{"foo.bar=1"}, ""},
		"key begins with a digit":       {[]string{"0foo=1"}, "0foo=1"},
		"key ends with at":              {[]string{"foo@=1,bar=2"}, "foo@=1,bar=2"},
		"key begins with at":            {[]string{"@foo=1,bar=2"}, ""},
		"key with two ats":              {[]string{"foo@@bar=1,bar=2"}, "foo@@bar=1,bar=2"},
		"key begins with an underscore": {[]string{"_foo=1,bar=2"}, ""},
		"32 members":                    {members[:32], strings.Join(members[:32], ",")},
		"33 members":                    {members, ""},
		"33 members on one line":        {[]string{strings.Join(members, ",")}, ""},
		"key of 256":                    {[]string{"foo=1", strings.Repeat("z", 256) + "=1"}, "foo=1," + strings.Repeat("z", 256) + "=1"},
		"key of 257":                    {[]string{"foo=1", strings.Repeat("z", 257) + "=1"}, ""},
		"tenant of 241, vendor of 14":   {[]string{strings.Repeat("t", 241) + "@" + strings.Repeat("v", 14) + "=1"}, strings.Repeat("t", 241) + "@" + strings.Repeat("v", 14) + "=1"},
		"value of 256":                  {[]string{"foo=" + strings.Repeat("v", 256)}, "foo=" + strings.Repeat("v", 256)},
		"value of 257":                  {[]string{"foo=" + strings.Repeat("v", 257)}, ""},
		"equals in a value":             {[]string{"foo=bar=baz"}, ""},
		"empty value":                   {[]string{"foo=,bar=3"}, ""},
		"no equals":                     {[]string{"foo,bar=3"}, ""},
		"tab in a value":                {[]string{"foo=1\t2"}, ""},
		"not ASCII":                     {[]string{"foo=é"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := header("traceparent", parentA)
			in["Tracestate"] = tc.lines
			out := through(t, in)
			if !continues(out) {
				t.Error("a bad tracestate broke the trace")
			}
			if diff := cmp.Diff(tc.want, out.Get("tracestate")); diff != "" {
				t.Errorf("outgoing tracestate (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTracestateNeedsItsTraceparent(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]http.Header{
		"missing":    header("tracestate", "foo=1"),
		"invalid":    header("traceparent", "00-"+strings.Repeat("0", 32)+tail, "tracestate", "foo=1"),
		"duplicated": header("traceparent", parentA, "traceparent", parentA, "tracestate", "foo=1"),
		"X-Trace-ID": header("X-Trace-ID", "12345678-9012-3456-7890-123456789012", "tracestate", "foo=1"),
	} {
		if got := through(t, in)["Tracestate"]; got != nil {
			t.Errorf("traceparent %s: tracestate %q passed on", name, got)
		}
	}
	for _, name := range []string{"trace-state", "trace.state"} {
		if got := through(t, header("traceparent", parentA, name, "foo=1"))["Tracestate"]; got != nil {
			t.Errorf("header %s was taken for tracestate: %q", name, got)
		}
	}
	if got := through(t, header("traceparent", parentA, "TrAcEsTaTe", "foo=1")).Get("tracestate"); got != "foo=1" {
		t.Errorf("header TrAcEsTaTe was not taken for tracestate: %q", got)
	}
}

// TestSeveralCalls is the harness's AdvancedTest: calls of one request share its
// trace when each has a span, and no two spans are the same.
func TestSeveralCalls(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]http.Header{
		"valid":   header("traceparent", parentA),
		"missing": header(),
		"illegal": header("traceparent", "00-"+strings.Repeat("0", 32)+tail),
	} {
		tracer := silent(t)
		ctx, server := tracer.StartServer(t.Context(), in, "test", true)
		seen := map[string]bool{server.SpanContext().SpanID().String(): true}
		for range 3 {
			call, span := tracer.Start(ctx, "call")
			span.End()
			out := http.Header{}
			tracing.Inject(call, out, "user-service")
			if got := span.SpanContext().TraceID(); got != server.SpanContext().TraceID() {
				t.Errorf("%s: call is in trace %s, its request in %s", name, got, server.SpanContext().TraceID())
			}
			if id := out.Get("X-Parent-Span-ID"); seen[id] {
				t.Errorf("%s: span id %s appears twice", name, id)
			} else {
				seen[id] = true
			}
		}
		server.End()
	}
}
