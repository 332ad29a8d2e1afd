package archtest

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/go-troika/troika/pkg/env"
)

// Environment checks the example in file, e.g. ".env.example", against the
// configuration T that load reads. The example
//
//   - has a line NAME=value for what must be set, with a value that loads, and a
//     line # NAME=value for what has that value by default;
//   - names every variable of T, with NAME_FILE for a secret, and the others that
//     load looks at, and nothing else.
func Environment[T any](t testing.TB, file string, load func(environ []string) (T, error), others ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	needed, optional := examples(string(text))

	known := append(variables(reflect.TypeFor[T]()), others...)
	listed := slices.Collect(maps.Keys(needed))
	listed = slices.AppendSeq(listed, maps.Keys(optional))
	slices.Sort(known)
	slices.Sort(listed)
	if diff := cmp.Diff(known, listed); diff != "" {
		t.Errorf("variables of %T (-) and in %s (+):\n%s", *new(T), file, diff)
	}

	implied, err := load(lines(needed))
	if err != nil {
		t.Fatalf("load what %s sets: %v", file, err)
	}
	spelled, err := load(append(lines(needed), lines(optional)...))
	if err != nil {
		t.Fatalf("load what %s names: %v", file, err)
	}
	if !reflect.DeepEqual(implied, spelled) {
		t.Errorf("%s has other defaults than the code:\ncode    %+v\nexample %+v", file, implied, spelled)
	}
}

var exampleLine = regexp.MustCompile(`(?m)^(# ?)?([A-Z][A-Z0-9_]*)=(.*)$`)

// examples are the variables that the text sets and those that it only names.
func examples(text string) (needed, optional map[string]string) {
	needed, optional = map[string]string{}, map[string]string{}
	for _, m := range exampleLine.FindAllStringSubmatch(text, -1) {
		if m[1] == "" {
			needed[m[2]] = m[3]
		} else {
			optional[m[2]] = m[3]
		}
	}
	return needed, optional
}

func lines(variables map[string]string) []string {
	var environ []string
	for name, value := range variables {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// variables are the names that env.Load reads for a struct of type s.
func variables(s reflect.Type) []string {
	var names []string
	for field := range s.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		switch {
		case name != "" && field.Type == reflect.TypeFor[env.Secret]():
			names = append(names, name, name+"_FILE")
		case name != "":
			names = append(names, name)
		case field.Type.Kind() == reflect.Struct:
			names = append(names, variables(field.Type)...)
		}
	}
	return names
}
