package contracts_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/contracts/contractstest"
	"github.com/go-troika/troika/pkg/events"
)

// eventType is what the event types have in common.
type eventType interface {
	Source() string
	Name() string
	Version() int
}

// publication is an event type with a payload.
type publication struct {
	eventType
	payload any
}

// published are all event types.
var published = []publication{
	{contracts.UserCreated, created},
	{contracts.UserUpdated, updated},
	{contracts.UserDeleted, deleted},
	{contracts.OrderCreated, order},
	{contracts.OrderCompleted, order},
	{contracts.OrderCancelled, order},
}

// schema is the part of a JSON Schema that a Go type determines.
type schema struct {
	Type       string            `json:"type"`
	Format     string            `json:"format"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
}

// TestSchemas compares the schema of each event with its Go type, and the golden message
// with the schema. An older message of another version keeps its schema.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, p := range published {
		t.Run(p.Name(), func(t *testing.T) {
			t.Parallel()
			text, err := contracts.Schemas.ReadFile(fmt.Sprintf("schemas/%s.%d.json", p.Name(), p.Version()))
			if err != nil {
				t.Fatal(err)
			}
			var written schema
			if err := json.Unmarshal(text, &written); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(schemaOf(t, reflect.TypeOf(p.payload)), written); diff != "" {
				t.Errorf("the schema differs from the type (-type +schema):\n%s", diff)
			}
			golden, err := os.ReadFile("testdata/" + p.Name() + ".json")
			if err != nil {
				t.Fatal(err)
			}
			contractstest.Check(t, events.Envelope{Event: p.Name(), Version: p.Version(), Data: golden})
		})
	}
}

// schemaOf returns the schema of the JSON of a type.
func schemaOf(t *testing.T, of reflect.Type) schema {
	t.Helper()
	switch {
	case of == reflect.TypeFor[uuid.UUID]():
		return schema{Type: "string", Format: "uuid"}
	case of == reflect.TypeFor[time.Time]():
		return schema{Type: "string", Format: "date-time"}
	case of == reflect.TypeFor[json.RawMessage]():
		return schema{}
	case of.Kind() == reflect.String:
		return schema{Type: "string"}
	case of.Kind() == reflect.Bool:
		return schema{Type: "boolean"}
	case of.Kind() == reflect.Int || of.Kind() == reflect.Int64:
		return schema{Type: "integer"}
	case of.Kind() == reflect.Slice:
		items := schemaOf(t, of.Elem())
		return schema{Type: "array", Items: &items}
	case of.Kind() != reflect.Struct:
		t.Fatalf("no rule for %s", of)
	}
	s := schema{Type: "object", Properties: map[string]schema{}}
	for _, field := range reflect.VisibleFields(of) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		s.Properties[name] = schemaOf(t, field.Type)
		if !strings.Contains(options, "omit") {
			s.Required = append(s.Required, name)
		}
	}
	return s
}

// TestEverySchemaIsOfAnEvent finds schemas of events that do not exist. Those of earlier
// versions stay: such events are still in the logs.
func TestEverySchemaIsOfAnEvent(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(contracts.Schemas, "schemas/*")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]int{}
	for _, p := range published {
		versions[p.Name()] = p.Version()
	}
	for _, file := range files {
		part := regexp.MustCompile(`^schemas/(.+)\.([1-9][0-9]*)\.json$`).FindStringSubmatch(file)
		if part == nil {
			t.Fatalf("%s is not named <event>.<version>.json", file)
		}
		if version, err := strconv.Atoi(part[2]); err != nil || version > versions[part[1]] {
			t.Errorf("%s is of no event", file)
		}
	}
}

// TestCheck breaks the schema of a payload in each way that a producer could.
func TestCheck(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("testdata/order.created.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(payload map[string]any)
		want   string
	}{
		"as it is":       {func(map[string]any) {}, ""},
		"field added":    {func(p map[string]any) { p["addedLater"] = map[string]any{"by": "a newer producer"} }, ""},
		"field removed":  {func(p map[string]any) { delete(p, "currency") }, "currency"},
		"field renamed":  {func(p map[string]any) { p["sum"] = p["total"]; delete(p, "total") }, "total"},
		"field retyped":  {func(p map[string]any) { p["total"] = "1999" }, "/total"},
		"fraction":       {func(p map[string]any) { p["total"] = 19.99 }, "/total"},
		"malformed id":   {func(p map[string]any) { p["userId"] = "1" }, "/userId"},
		"malformed time": {func(p map[string]any) { p["at"] = "today" }, "/at"},
		"null":           {func(p map[string]any) { p["at"] = nil }, "/at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payload := map[string]any{}
			if err := json.Unmarshal(golden, &payload); err != nil {
				t.Fatal(err)
			}
			tc.change(payload)
			data, err := json.Marshal(payload)
			if err != nil {
				t.Fatal(err)
			}
			s := &spy{TB: t}
			contractstest.Check(s, events.Envelope{Event: "order.created", Version: 1, Data: data})
			if (tc.want == "") != (s.fault == "") || !strings.Contains(s.fault, tc.want) {
				t.Errorf("got %q, want %q", s.fault, tc.want)
			}
		})
	}
	for name, tc := range map[string]struct {
		event events.Envelope
		valid bool
	}{
		"version without a schema": {events.Envelope{Event: "order.created", Version: 2, Data: golden}, false},
		"redacted":                 {events.Envelope{Event: "order.created", Version: 1, Redacted: true, Data: json.RawMessage(`"redacted"`)}, true},
		"redacted with a payload":  {events.Envelope{Event: "order.created", Version: 1, Redacted: true, Data: golden}, false},
	} {
		s := &spy{TB: t}
		if contractstest.Check(s, tc.event); (s.fault == "") != tc.valid {
			t.Errorf("%s: %q", name, s.fault)
		}
	}
}

// spy keeps an error instead of failing.
type spy struct {
	testing.TB
	fault string
}

func (s *spy) Helper()                           {}
func (s *spy) Errorf(format string, args ...any) { s.fault += fmt.Sprintf(format, args...) }
