package env

import (
	"encoding"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"

	caarlos "github.com/caarlos0/env/v11"
)

const fileSuffix = "_FILE"

// Load fills a T from environ, a list of "KEY=value" as [os.Environ] returns it.
//
// Defaults have the same form; environ wins over them and they win over
// `envDefault` tags. Of several entries for a key the last counts. An empty value
// is as good as none.
//
// Load parses, then checks the `validate` tags, then calls `Validate() error` of T
// and of every struct in it. All that is wrong comes back in one [*Error], beside a
// T that must not be used. A variable that failed one step is not blamed again by
// the next. Load panics on a `validate` tag that does not exist; it looks at nothing
// but environ, the defaults and the files that …_FILE variables name.
func Load[T any](environ []string, defaults ...string) (T, error) {
	var cfg T
	root := reflect.ValueOf(&cfg).Elem()
	if root.Kind() != reflect.Struct {
		return cfg, fmt.Errorf("load environment: %s is not a struct", root.Type())
	}
	l := loader{
		vars:     variables(defaults, environ),
		byPath:   map[string]string{},
		problems: problems{failed: map[string]bool{}},
	}
	l.fill(root, "", "")
	l.problems.endStage()
	l.checkTags(root)
	l.problems.endStage()
	l.callValidate(root)
	return cfg, l.problems.err()
}

// variables merges lists of "KEY=value", later entries over earlier ones.
func variables(lists ...[]string) map[string]string {
	vars := map[string]string{}
	for _, list := range lists {
		for _, entry := range list {
			key, value, ok := strings.Cut(entry, "=")
			if ok && key != "" && value != "" {
				vars[key] = value
			}
		}
	}
	return vars
}

type loader struct {
	vars     map[string]string
	byPath   map[string]string // "DB.Port", a path of Go fields, to "DB_PORT"
	problems problems
}

// fill sets the fields of one struct; path and prefix lead from the root to it.
func (l *loader) fill(v reflect.Value, path, prefix string) {
	for i := range v.NumField() {
		field, sf := v.Field(i), v.Type().Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("env"), ",")
		switch {
		case name != "" && name != "-" && field.CanSet():
			l.byPath[path+sf.Name] = prefix + name
			l.set(field, sf, prefix, prefix+name)
		case name == "" && field.Kind() == reflect.Struct && (sf.IsExported() || sf.Anonymous):
			l.fill(field, path+sf.Name+".", prefix+sf.Tag.Get("envPrefix"))
		}
	}
}

// set parses one variable into one field. A value that does not parse leaves the default
// behind, so that Validate methods do not report it a second time.
func (l *loader) set(field reflect.Value, sf reflect.StructField, prefix, variable string) {
	if field.Type() == reflect.TypeFor[Secret]() {
		l.readFile(variable)
	}
	err := parse(field, sf, prefix, l.vars)
	if err == nil {
		return
	}
	l.problems.add(Problem{variable, describeParse(err, field.Type(), l.vars[variable])})
	_ = parse(field, sf, prefix, map[string]string{})
}

// parse fills one field. It wraps the field in a struct of its own, because the parser
// names only the Go field in its errors, never the variable.
func parse(field reflect.Value, sf reflect.StructField, prefix string, vars map[string]string) error {
	sf.Anonymous = false
	alone := reflect.New(reflect.StructOf([]reflect.StructField{sf}))
	err := caarlos.ParseWithOptions(alone.Interface(), caarlos.Options{Environment: vars, Prefix: prefix})
	if err == nil {
		field.Set(alone.Elem().Field(0))
	}
	return err
}

// readFile puts the content of the file that variable_FILE names into variable.
func (l *loader) readFile(variable string) {
	path, ok := l.vars[variable+fileSuffix]
	if !ok {
		return
	}
	if _, both := l.vars[variable]; both {
		l.problems.add(Problem{variable + fileSuffix, "set together with " + variable + "; set only one of them"})
		return
	}
	content, err := os.ReadFile(path)
	if err != nil {
		l.problems.add(Problem{variable + fileSuffix, err.Error()})
		return
	}
	if value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"); value != "" {
		l.vars[variable] = value
	}
}

// callValidate calls Validate of v and of every struct in it, inner ones first.
func (l *loader) callValidate(v reflect.Value) {
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if v.Field(i).Kind() == reflect.Struct && (sf.IsExported() || sf.Anonymous) {
			l.callValidate(v.Field(i))
		}
	}
	if !v.CanInterface() {
		return
	}
	if c, ok := v.Addr().Interface().(interface{ Validate() error }); ok {
		if err := c.Validate(); err != nil {
			l.problems.addError(err)
		}
	}
}

// describeParse returns what a value should have looked like. Values are quoted only
// where they are numbers, switches or durations gone wrong.
func describeParse(err error, t reflect.Type, value string) string {
	switch want := wanted(t); {
	case errors.As(err, &caarlos.VarIsNotSetError{}), errors.As(err, &caarlos.EmptyVarError{}):
		return "is required"
	case want != "":
		return fmt.Sprintf("%q is not %s", shorten(value), want)
	}
	if parse, ok := errors.AsType[caarlos.ParseError](err); ok {
		return parse.Err.Error()
	}
	return err.Error()
}

func wanted(t reflect.Type) string {
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return ""
	case t.String() == "time.Duration":
		return "a duration such as 500ms or 30s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "a whole number that fits " + t.Kind().String()
	case t.Kind() == reflect.Float32, t.Kind() == reflect.Float64:
		return "a number"
	}
	return ""
}

func shorten(value string) string {
	if len(value) > 40 {
		return value[:40] + "…"
	}
	return value
}
