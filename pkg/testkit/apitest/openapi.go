package apitest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/gin-gonic/gin"
)

// API is an OpenAPI document. It is safe for concurrent use.
type API struct {
	doc    *openapi3.T
	router routers.Router
}

// OpenAPI reads the document in file and fails t if it, or an example in it, is
// not valid.
func OpenAPI(t testing.TB, file string) *API {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	doc.Servers = nil // paths match on any host
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &API{doc: doc, router: router}
}

var ginParam = regexp.MustCompile(`:(\w+)`)

// common matches the paths of routes that every service has, which no service's document
// describes.
var common = regexp.MustCompile(`^/(health|livez|readyz|openapi\.yaml|docs|events/log.*)$`)

// Routes fails t for every route that the document does not describe, and for
// every operation of the document that is not a route.
func (a *API) Routes(t testing.TB, routes gin.RoutesInfo) {
	t.Helper()
	var served, described []string
	for _, r := range routes {
		if common.MatchString(r.Path) {
			continue
		}
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

// Call serves r with h. It fails t if the document does not describe the response to
// that request, or if a request that succeeded is not one that the document allows.
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

	r.Body = io.NopCloser(bytes.NewReader(body))
	if err := a.check(r, answer); err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	return answer
}

func (a *API) check(r *http.Request, answer Answer) error {
	route, params, err := a.router.FindRoute(r)
	if err != nil {
		return err
	}
	options := &openapi3filter.Options{
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		IncludeResponseStatus: true,
	}
	request := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
	if answer.Status < http.StatusMultipleChoices {
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
	return nil
}
