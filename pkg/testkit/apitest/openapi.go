package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/httpserver"
)

// API is an OpenAPI document. It is safe for concurrent use.
type API struct {
	doc    *openapi3.T
	router routers.Router
}

// OpenAPI reads the document in file and fails t if it, or an example in it, is not valid
// OpenAPI 3.1, or uses a keyword that Check does not evaluate.
func OpenAPI(t testing.TB, file string) *API {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if keyword := unchecked.FindSubmatch(text); keyword != nil {
		t.Fatalf("%s: values are not checked for %s", file, keyword[1])
	}
	doc.Servers = nil // paths match on any host
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	// For 3.1 kin-openapi compiles a schema for each value, which takes milliseconds.
	doc.OpenAPI = "3.0.3"
	return &API{doc: doc, router: router}
}

// unchecked matches keywords of JSON Schema 2020-12 that kin-openapi ignores in values of
// an OpenAPI 3.0 document.
var unchecked = regexp.MustCompile(`[\s{](const|if|then|else|prefixItems|contains|patternProperties|dependent\w+|` +
	`propertyNames|unevaluated\w+|contentSchema|\$dynamicRef):`)

var ginParam = regexp.MustCompile(`:(\w+)`)

// Routes fails t for every route that the document does not describe, and for
// every operation of the document that is not a route.
func (a *API) Routes(t testing.TB, routes []httpserver.Route) {
	t.Helper()
	var served, described []string
	for _, r := range routes {
		served = append(served, r.Method+" "+ginParam.ReplaceAllString(r.Path, "{$1}"))
	}
	for path, item := range a.doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, route := range served {
		if !slices.Contains(described, route) {
			t.Errorf("%s is served, but not described", route)
		}
	}
	for _, route := range described {
		if !slices.Contains(served, route) {
			t.Errorf("%s is described, but not served", route)
		}
	}
}

// Answer is the response to a Call.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Call serves r with h, and fails t unless Check allows the exchange.
func (a *API) Call(t testing.TB, h http.Handler, r *http.Request) Answer {
	t.Helper()
	var body []byte
	if r.Body != nil {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		body = sent
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	answer := Answer{Status: recorder.Code, Header: recorder.Header(), Body: recorder.Body.String()}
	if err := a.Check(r, body, answer); err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	return answer
}

// malformed are the statuses of requests that need not be as the document describes them.
var malformed = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusPreconditionRequired,
}

// Check returns an error unless the document describes the response to r, which was sent
// with body, and r itself, unless the response says that r is malformed. A route that is
// not in the document must get 404 or 405 and a Problem.
func (a *API) Check(r *http.Request, body []byte, answer Answer) error {
	route, params, err := a.router.FindRoute(r)
	if err != nil {
		return a.checkUnknown(err, answer)
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	options := &openapi3filter.Options{
		AuthenticationFunc:      openapi3filter.NoopAuthenticationFunc,
		IncludeResponseStatus:   true,
		SchemaValidationOptions: formats,
	}
	request := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
	if !slices.Contains(malformed, answer.Status) {
		if err := openapi3filter.ValidateRequest(r.Context(), request); err != nil {
			return fmt.Errorf("accepted, but not described: %w", err)
		}
	}
	response := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: answer.Status, Header: answer.Header, Options: options,
	}
	if err := openapi3filter.ValidateResponse(r.Context(), response.SetBodyBytes([]byte(answer.Body))); err != nil {
		return fmt.Errorf("answered, but not described: %w", err)
	}
	described := route.Operation.Responses.Status(answer.Status)
	if described != nil && len(described.Value.Content) == 0 && answer.Body != "" {
		return fmt.Errorf("answered, but not described: a body with status %d", answer.Status)
	}
	return nil
}

// formats are asserted; OpenAPI itself leaves them open.
var formats = []openapi3.SchemaValidationOption{
	openapi3.WithStringFormatValidator("uuid", openapi3.NewCallbackValidator(uuid.Validate)),
}

// checkUnknown checks the response to a request for which the document has no route.
func (a *API) checkUnknown(unknown error, answer Answer) error {
	var problem *openapi3.SchemaRef
	if a.doc.Components != nil {
		problem = a.doc.Components.Schemas["Problem"]
	}
	if problem == nil || (answer.Status != http.StatusNotFound && answer.Status != http.StatusMethodNotAllowed) {
		return unknown
	}
	var body any
	if err := json.Unmarshal([]byte(answer.Body), &body); err != nil {
		return err
	}
	return problem.Value.VisitJSON(body, formats...)
}
