package contracts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/events"
)

// asyncAPI is the part of asyncapi.yaml that the code determines.
type asyncAPI struct {
	Channels   map[string]struct{ Messages map[string]ref }
	Operations map[string]struct {
		Action   string
		Channel  ref
		Messages []ref
	}
	Components struct {
		Messages map[string]message
		Schemas  struct {
			Envelope schema `yaml:"Envelope"`
		}
	}
}

type ref struct {
	To string `yaml:"$ref"`
}

type message struct {
	Name    string
	Payload struct {
		AllOf []struct {
			Ref        string `yaml:"$ref"`
			Properties struct {
				Event, Service struct{ Const string }
				Version        struct{ Const int }
				Data           ref
			}
		} `yaml:"allOf"`
	}
}

// last returns the last part of the reference.
func (r ref) last() string { return r.To[strings.LastIndex(r.To, "/")+1:] }

func readAsyncAPI(t *testing.T) asyncAPI {
	t.Helper()
	text, err := os.ReadFile("asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var api asyncAPI
	if err := yaml.Unmarshal(text, &api); err != nil {
		t.Fatal(err)
	}
	return api
}

// TestAsyncAPIOperations compares what the document says that services send and receive
// with the event types of this package and the subscriptions in the services' routes.
func TestAsyncAPIOperations(t *testing.T) {
	t.Parallel()
	_ = os.Getenv("TEST_POSTGRES_URL") // differs in each run of make test: go test does not see changes of the services
	var described []string
	for name, operation := range readAsyncAPI(t).Operations {
		service, _, _ := strings.Cut(name, ".")
		for _, m := range operation.Messages {
			if !strings.HasPrefix(m.To, operation.Channel.To+"/messages/") {
				t.Errorf("%s: %s is not of its channel", name, m.To)
			}
			described = append(described, strings.Join([]string{service, operation.Action, operation.Channel.last(), m.last()}, " "))
		}
	}

	var coded []string
	types := map[string]string{} // channel and message by variable
	for _, variable := range find(t, `(\w+) += events\.NewType`, `\(\w+, "([\w.]+)", (\d+)`, "*.go") {
		name, version := variable[2], variable[3]
		i := slices.IndexFunc(published, func(p publication) bool { return p.Name() == name && fmt.Sprint(p.Version()) == version })
		if i < 0 {
			t.Fatalf("the tests' list of event types lacks %s", variable[1])
		}
		types[variable[1]] = published[i].Source() + " " + name + "." + version
		coded = append(coded, published[i].Source()+" send "+types[variable[1]])
	}
	for _, subscription := range find(t, `events\.On\(`, `\w+, contracts\.(\w+)`, "../services/*/internal/routes/*.go") {
		service := strings.Split(filepath.ToSlash(subscription[0]), "/")[2]
		coded = append(coded, service+" receive "+types[subscription[1]])
	}
	slices.Sort(described)
	slices.Sort(coded)
	if diff := cmp.Diff(coded, described); diff != "" {
		t.Errorf("asyncapi.yaml differs from the code (-code +document):\n%s", diff)
	}
}

// find returns the file and the groups of each call in files, which must have arguments as
// in the second pattern.
func find(t *testing.T, call, arguments, files string) [][]string {
	t.Helper()
	names, err := filepath.Glob(files)
	if err != nil {
		t.Fatal(err)
	}
	var found [][]string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		matches := regexp.MustCompile(call+arguments).FindAllStringSubmatch(string(text), -1)
		if calls := regexp.MustCompile(call).FindAll(text, -1); len(calls) != len(matches) {
			t.Errorf("%s: %d calls match %s, but %d have arguments like %s", name, len(calls), call, len(matches), arguments)
		}
		for _, match := range matches {
			found = append(found, append([]string{name}, match[1:]...))
		}
	}
	if len(found) == 0 {
		t.Fatalf("nothing in %s matches %s", files, call)
	}
	return found
}

func TestAsyncAPIMessages(t *testing.T) {
	t.Parallel()
	api := readAsyncAPI(t)
	if diff := cmp.Diff(schemaOf(t, reflect.TypeFor[events.Envelope]()), api.Components.Schemas.Envelope); diff != "" {
		t.Errorf("the envelope differs from the type (-type +schema):\n%s", diff)
	}
	if len(api.Components.Messages) != len(published) {
		t.Errorf("%d messages are described, want %d", len(api.Components.Messages), len(published))
	}
	for _, p := range published {
		name := fmt.Sprintf("%s.%d", p.Name(), p.Version())
		if got := api.Channels[p.Source()].Messages[name].To; got != "#/components/messages/"+name {
			t.Errorf("channel %s: message %s is %q", p.Source(), name, got)
		}
		m := api.Components.Messages[name]
		if m.Name != p.Name() || len(m.Payload.AllOf) != 2 || m.Payload.AllOf[0].Ref != "#/components/schemas/Envelope" {
			t.Errorf("message %s is %+v", name, m)
			continue
		}
		fixed := m.Payload.AllOf[1].Properties
		if fixed.Event.Const != p.Name() || fixed.Service.Const != p.Source() || fixed.Version.Const != p.Version() ||
			fixed.Data.To != "schemas/"+name+".json" {
			t.Errorf("message %s has %+v", name, fixed)
		}
	}
}
