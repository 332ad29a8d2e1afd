package httpserver

import (
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/tracing"
)

const problemDocs = "https://github.com/go-troika/troika/blob/main/docs/problems.md#"

// problem is an error response: RFC 9457 with the extensions error (the text for people),
// code (for programs), errors (the invalid fields) and the ids of the request.
type problem struct {
	Error     string        `json:"error"`
	Type      string        `json:"type"`
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Code      string        `json:"code"`
	Detail    string        `json:"detail,omitzero"`
	Errors    []fault.Field `json:"errors,omitempty"`
	RequestID string        `json:"requestId"`
	TraceID   string        `json:"traceId"`
}

// writeProblem responds with f. It leaves out f's cause.
func writeProblem(c *gin.Context, f *fault.Error) {
	status := f.Kind().Status()
	ctx, h := c.Request.Context(), c.Writer.Header()
	// Names of fields come from the caller and may not be UTF-8; nothing else can fail.
	body, _ := json.Marshal(problem{
		Error:     f.Message(),
		Type:      problemDocs + f.Code(),
		Title:     http.StatusText(status),
		Status:    status,
		Code:      f.Code(),
		Detail:    f.Detail(),
		Errors:    invalidFields(f.Fields()),
		RequestID: tracing.RequestID(ctx),
		TraceID:   tracing.TraceID(ctx),
	}, jsontext.AllowInvalidUTF8(true))
	if wait := f.RetryAfter(); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	switch status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", "Bearer")
		}
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // instead of reading the rest
	}
	write(c, status, "application/problem+json", body)
}

// A response names at most this many invalid fields, with names of at most so many
// characters, so that it is not much longer than a well-meant request.
const (
	maxFields = 32
	maxEcho   = 64
)

// invalidFields returns fields within these limits. The last one says so if there are more.
func invalidFields(fields []fault.Field) []fault.Field {
	fields = slices.Clone(fields)
	if len(fields) > maxFields {
		fields = append(fields[:maxFields-1], fault.Field{Message: "and more"})
	}
	for i := range fields {
		fields[i].Name = shortened(fields[i].Name)
	}
	return fields
}

// shortened returns text of the caller as a response may repeat it.
func shortened(s string) string {
	characters := 0
	for i := range s {
		if characters++; characters > maxEcho {
			return s[:i] + "…"
		}
	}
	return s
}
