package apitest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/httpserver"
	"github.com/go-troika/troika/pkg/serviceauth"
	"github.com/go-troika/troika/pkg/userauth"
)

// Fixture makes what a request needs: a resource, the user to whom it belongs, and the
// values of the path parameters that lead to it.
type Fixture func(t testing.TB) (owner uuid.UUID, params map[string]string)

// Identities calls every route of the service as everybody: without a token, as each of the
// named services, as a service of no route, as the owner of the resource, as another
// person, and with the tokens of both a service and the owner. It fails t unless each
// response is the one that the route's declared access calls for, and unless the OpenAPI
// document names the same kinds of tokens. Bodies and required headers are the examples of
// the document.
func (s *Service) Identities(t *testing.T, fixture Fixture, services ...string) {
	t.Helper()
	m := matrix{s, fixture, append(services, serviceauth.Operator, "a-stranger")}
	for _, r := range s.HTTP.Routes() {
		t.Run(r.Method+" "+r.Path, func(t *testing.T) { m.row(t, r) })
	}
}

type matrix struct {
	*Service
	fixture  Fixture
	services []string
}

func (m matrix) row(t *testing.T, r httpserver.Route) {
	op := m.api.operation(r)
	if op == nil {
		t.Fatal("is not in the OpenAPI document")
	}
	want := "ServiceToken"
	switch a := r.Access; {
	case a.IsPublic():
		want = ""
	case a.AllowsUser():
		want = "ServiceToken UserToken"
	}
	if got := m.api.security(op); got != want {
		t.Errorf("the OpenAPI document requires %q, the route %q", got, want)
	}
	m.cell(t, r, op, "no token", "", nil)
	for _, name := range m.services {
		m.cell(t, r, op, name, name, nil)
	}
	other := uuid.New()
	m.cell(t, r, op, owner, "", func(owner uuid.UUID) uuid.UUID { return owner })
	m.cell(t, r, op, another, "", func(uuid.UUID) uuid.UUID { return other })
	m.cell(t, r, op, both, m.services[0], func(owner uuid.UUID) uuid.UUID { return owner })
}

// Identities besides those of services.
const (
	owner   = "the owner"
	another = "another person"
	both    = "the owner and a service"
)

// cell sends one request: of a service unless caller is "", and of a person unless person is nil.
func (m matrix) cell(t *testing.T, r httpserver.Route, op *openapi3.Operation, identity, caller string, person func(uuid.UUID) uuid.UUID) {
	t.Helper()
	user, params := m.fixture(t)
	path := r.Path
	for name, value := range params {
		path = strings.ReplaceAll(path, ":"+name, value)
	}
	header := requiredHeaders(op)
	if person != nil {
		header = append(header, userauth.Header, Person(t, person(user)))
	}
	got := m.Call(t, caller, r.Method, path, example(t, op), header...)
	code := ""
	if got.Status >= http.StatusBadRequest {
		code = Decode[Problem](t, got, got.Status).Code
	}
	status, wantCode := m.expect(r, op, identity, caller)
	switch {
	case status == 0 && !slices.Contains(refusals, code): // not refused; any other status will do
	case got.Status == status && (wantCode == "" || code == wantCode):
	default:
		t.Errorf("%s: got %d %s, want %d %s", identity, got.Status, code, status, wantCode)
	}
	if identity == another && got.Status < http.StatusBadRequest && !r.Access.IsPublic() && strings.Contains(got.Body, user.String()) {
		t.Errorf("%s sees data of the owner: %s", identity, got.Body)
	}
}

// refusals are the codes of requests that a route does not take.
var refusals = []string{
	serviceauth.ErrRequired.Code(), serviceauth.ErrInvalid.Code(), serviceauth.ErrForbidden.Code(),
	userauth.ErrInvalid.Code(), "two_identities",
}

// expect returns the status and, of a refusal, the code; 0 is every response but a refusal.
func (m matrix) expect(r httpserver.Route, op *openapi3.Operation, identity, caller string) (int, string) {
	person := identity == owner || identity == another
	switch a := r.Access; {
	case a.IsPublic():
		return 0, ""
	case identity == both:
		return http.StatusBadRequest, "two_identities"
	case !person && caller == "":
		return http.StatusUnauthorized, serviceauth.ErrRequired.Code()
	case person && !a.AllowsUser(), !person && !a.Allows(caller):
		return http.StatusForbidden, serviceauth.ErrForbidden.Code()
	case identity == another && strings.Contains(r.Path, ":"):
		return http.StatusNotFound, ""
	case identity == another && r.Method != http.MethodGet:
		return http.StatusUnprocessableEntity, ""
	case requiresQuery(op):
		return http.StatusBadRequest, ""
	}
	return success(op), ""
}

func (a *API) operation(r httpserver.Route) *openapi3.Operation {
	item := a.doc.Paths.Find(ginParam.ReplaceAllString(r.Path, "{$1}"))
	if item == nil {
		return nil
	}
	return item.GetOperation(r.Method)
}

// security returns the names of the security schemes of which a request satisfies one.
func (a *API) security(op *openapi3.Operation) string {
	requirements := a.doc.Security
	if op.Security != nil {
		requirements = *op.Security
	}
	var names []string
	for _, requirement := range requirements {
		for name := range requirement {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func requiresQuery(op *openapi3.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool {
		return p.Value.In == openapi3.ParameterInQuery && p.Value.Required
	})
}

// requiredHeaders returns the names and examples of the operation's required headers in turn.
func requiredHeaders(op *openapi3.Operation) (header []string) {
	for _, p := range op.Parameters {
		if example, ok := p.Value.Example.(string); ok && p.Value.In == openapi3.ParameterInHeader && p.Value.Required {
			header = append(header, p.Value.Name, example)
		}
	}
	return header
}

// success returns the lowest status of a success.
func success(op *openapi3.Operation) int {
	lowest := 0
	for text := range op.Responses.Map() {
		if status, err := strconv.Atoi(text); err == nil && (lowest == 0 || status < lowest) {
			lowest = status
		}
	}
	return lowest
}

// example returns the first example of the operation's body, "" if it takes none.
func example(t testing.TB, op *openapi3.Operation) string {
	t.Helper()
	if op.RequestBody == nil {
		return ""
	}
	schema := op.RequestBody.Value.Content.Get("application/json").Schema.Value
	if len(schema.Examples) == 0 {
		t.Fatal("the body has no example in the OpenAPI document")
	}
	body, err := json.Marshal(schema.Examples[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
