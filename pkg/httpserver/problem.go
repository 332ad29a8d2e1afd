package httpserver

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/tracing"
)

const problemDocs = "https://github.com/go-troika/troika/blob/main/docs/problems.md#"

var problemType = []string{"application/problem+json"}

// problem is an error answer: RFC 9457 with the extensions error (the text for
// people), code (for programs), errors (the invalid fields) and the ids to ask
// about it.
type problem struct {
	Error     string         `json:"error"`
	Type      string         `json:"type"`
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Code      string         `json:"code"`
	Detail    string         `json:"detail,omitzero"`
	Errors    []invalidField `json:"errors,omitempty"`
	RequestID string         `json:"requestId"`
	TraceID   string         `json:"traceId"`
}

type invalidField struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// writeProblem responds with f. It shows f's public words only.
func writeProblem(c *gin.Context, f *fault.Error) {
	status := f.Kind().Status()
	ctx, h := c.Request.Context(), c.Writer.Header()
	// Names of fields come from the caller and may be no UTF-8; strings and numbers
	// cannot fail otherwise.
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
	h["Content-Type"] = problemType
	if wait := f.RetryAfter(); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	switch status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "ServiceToken")
	case http.StatusRequestEntityTooLarge:
		h.Set("Connection", "close") // rather than read the rest
	}
	c.Writer.WriteHeader(status)
	// A write error means that the client has disconnected.
	_, _ = c.Writer.Write(body)
}

// Of the fields that a caller got wrong, an answer has at most this many, with names
// of at most so many bytes: the answer is not much longer than an honest request.
const (
	maxFields    = 32
	maxFieldName = 100
)

func invalidFields(fields []fault.Field) []invalidField {
	if len(fields) > maxFields {
		more := fmt.Sprintf("and %d more", len(fields)-maxFields)
		fields = append(slices.Clone(fields[:maxFields]), fault.Field{Message: more})
	}
	out := make([]invalidField, len(fields))
	for i, f := range fields {
		if len(f.Name) > maxFieldName {
			f.Name = strings.ToValidUTF8(f.Name[:maxFieldName], "") + "…"
		}
		out[i] = invalidField{Field: f.Name, Message: f.Message}
	}
	return out
}
