package httpserver_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/httpserver"
)

const openAPI = `openapi: 3.1.0
info: {title: Users <script>, version: "1.2", description: Keeps users.}
paths:
  /users:
    post:
      summary: Register a user
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/NewUser'}
      responses:
        201:
          description: The user
          content: {application/json: {schema: {$ref: '#/components/schemas/User'}}}
        default: {$ref: '#/components/responses/Problem'}
  /users/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string, format: uuid}}
    get: {summary: Show a user, responses: {"200": {description: The user}}}
    delete: {summary: Remove a user, parameters: [{$ref: '#/components/parameters/IfMatch'}], responses: {"204": {description: Gone}}}
components:
  schemas:
    NewUser:
      description: Who is to be registered
      type: object
      required: [email]
      properties:
        email: {type: string, format: email, description: Unique}
        tags: {type: array, items: {type: [string, "null"]}}
        address:
          type: object
          properties: {street: {type: string}}
    User: {allOf: [{$ref: '#/components/schemas/NewUser'}, {type: object}]}
    State: {type: string, enum: [new, old]}
`

func TestDocs(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	if err := b.Docs([]byte(openAPI)); err != nil {
		t.Fatal(err)
	}
	w := b.do(http.MethodGet, "/openapi.yaml", "")
	if w.Code != http.StatusOK || w.Body.String() != openAPI || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("openapi.yaml: %d %v", w.Code, w.Header())
	}
	w = b.do(http.MethodGet, "/docs", "")
	page := w.Body.String()
	checkHeaders(t, w.Header())
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("docs: %d %v", w.Code, w.Header())
	}
	for _, want := range []string{
		"Users &lt;script&gt;", "Register a user", "Show a user", "Remove a user", "/users/{id}", `class="must">email`,
		`href="#NewUser"`, "string (uuid)", "string null", "street", "IfMatch", "NewUser and object", "string: new old", "#/components/responses/Problem",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	if strings.Index(page, "POST") > strings.Index(page, "DELETE") {
		t.Error("operations are not in the order of the description")
	}
}

// TestDocsPageIsAlone: no script, nothing from elsewhere, and a policy that would
// not let it.
func TestDocsPageIsAlone(t *testing.T) {
	t.Parallel()
	b := setup(t, httpserver.Config{})
	if err := b.Docs([]byte(openAPI)); err != nil {
		t.Fatal(err)
	}
	w := b.do(http.MethodGet, "/docs", "")
	page := w.Body.String()
	if strings.Contains(page, "<script") || regexp.MustCompile(`(src|href)="(https?:)?//|@import|url\(`).MatchString(page) {
		t.Error("the page has a script or loads from elsewhere")
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page)
	if style == nil {
		t.Fatal("no style sheet")
	}
	hash := sha256.Sum256([]byte(style[1]))
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, base64.StdEncoding.EncodeToString(hash[:])) {
		t.Errorf("policy %q does not fit the page", policy)
	}
}

func TestDocsRefusesOtherText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a: [", "- list", "swagger: '2.0'", "openapi: 3.1.0\npaths: 7"} {
		if err := setup(t, httpserver.Config{}).Docs([]byte(text)); err == nil {
			t.Errorf("%q was taken for an OpenAPI description", text)
		}
	}
}
