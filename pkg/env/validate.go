package env

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"
)

// checkTags applies the `validate` tags of the whole tree.
func (l *loader) checkTags(root reflect.Value) {
	check := validator.New(validator.WithRequiredStructEnabled())
	check.RegisterCustomTypeFunc(func(v reflect.Value) any {
		return v.Interface().(Secret).Reveal()
	}, Secret{})

	failures, _ := errors.AsType[validator.ValidationErrors](check.Struct(root.Addr().Interface()))
	for _, failure := range failures {
		path := strings.TrimPrefix(failure.StructNamespace(), root.Type().Name()+".")
		field, _, _ := strings.Cut(path, "[") // an element of a list: blame the list
		variable, ok := l.byPath[field]
		if !ok {
			variable = path
		}
		l.problems.add(Problem{variable, describeTag(failure)})
	}
}

// describeTag puts the common tags into words; it never quotes the value, which
// may be a secret or hold one.
func describeTag(f validator.FieldError) string {
	unit := ""
	switch f.Kind() {
	case reflect.String:
		unit = " characters"
	case reflect.Slice, reflect.Map:
		unit = " entries"
	}
	switch f.Tag() {
	case "required":
		return "is required"
	case "min":
		return "must be at least " + f.Param() + unit
	case "max":
		return "must be at most " + f.Param() + unit
	case "oneof":
		return "must be one of: " + strings.Join(strings.Fields(f.Param()), ", ")
	case "url", "http_url":
		return "must be a URL with a scheme, such as http://localhost:8081"
	}
	if f.Param() != "" {
		return fmt.Sprintf("must satisfy %s=%s", f.Tag(), f.Param())
	}
	return "must satisfy " + f.Tag()
}
