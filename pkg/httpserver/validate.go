package httpserver

import (
	"encoding"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"

	"github.com/go-troika/troika/pkg/fault"
)

var textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

// validate is made on first use; it is safe for concurrent use and caches what it
// learns about types.
var validate = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(jsonName)
	err := v.RegisterValidation("notblank", func(f validator.FieldLevel) bool {
		return strings.TrimSpace(f.Field().String()) != ""
	})
	if err != nil {
		panic(err) // the tag above is not a legal one
	}
	return v
})

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" || name == "-" {
		return f.Name
	}
	return name
}

// violations returns the fields of v that break their validate tags, leaving out
// those that are known to be wrong already.
func violations(v any, known []fault.Field) []fault.Field {
	if reflect.TypeOf(v).Elem().Kind() != reflect.Struct {
		return nil
	}
	broken, ok := errors.AsType[validator.ValidationErrors](validate().Struct(v))
	if !ok {
		return nil
	}
	var fields []fault.Field
	for _, b := range broken {
		// The namespace begins with the name of the Go type.
		_, path, _ := strings.Cut(b.Namespace(), ".")
		if !slices.ContainsFunc(known, func(f fault.Field) bool { return covers(f.Name, path) }) {
			fields = append(fields, fault.Field{Name: path, Message: violationText(b)})
		}
	}
	return fields
}

// covers reports whether path is the field or lies within it.
func covers(field, path string) bool {
	rest, ok := strings.CutPrefix(path, field)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// violationText returns what the tag requires.
func violationText(e validator.FieldError) string {
	switch tag, p := e.Tag(), e.Param(); tag {
	case "required", "required_with", "required_without":
		return "is required"
	case "notblank":
		return "must not be blank"
	case "email":
		return "must be an email address"
	case "url", "http_url":
		return "must be a URL"
	case "uuid", "uuid4", "uuid7":
		return "must be a UUID"
	case "iso4217":
		return "must be an ISO 4217 currency code"
	case "oneof":
		return "must be one of: " + strings.ReplaceAll(p, " ", ", ")
	case "min", "gte":
		return "must " + amount(e.Kind(), "at least "+p)
	case "max", "lte":
		return "must " + amount(e.Kind(), "at most "+p)
	case "gt":
		return "must " + amount(e.Kind(), "more than "+p)
	case "lt":
		return "must " + amount(e.Kind(), "less than "+p)
	case "len":
		return "must " + amount(e.Kind(), "exactly "+p)
	case "unique":
		return "must not repeat itself"
	default:
		return "is not valid"
	}
}

func amount(kind reflect.Kind, quantity string) string {
	switch kind {
	case reflect.String:
		return "have " + quantity + " characters"
	case reflect.Slice, reflect.Array, reflect.Map:
		return "have " + quantity + " items"
	default:
		return "be " + quantity
	}
}
