package httpserver

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"

	"github.com/go-troika/troika/pkg/fault"
)

// validate is created on first use; it is safe for concurrent use.
var validate = sync.OnceValue(func() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(jsonName)
	return v
})

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" || name == "-" {
		return f.Name
	}
	return name
}

// violations returns the fields of v that break their validate tags, without those
// that are known to be wrong already.
func violations(v any, known []fault.Field) []fault.Field {
	if reflect.TypeOf(v).Elem().Kind() != reflect.Struct {
		return nil
	}
	broken, _ := errors.AsType[validator.ValidationErrors](validate().Struct(v))
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

var tagTexts = map[string]string{
	"required":         "is required",
	"required_with":    "is required",
	"required_without": "is required",
	"email":            "must be an email address",
	"url":              "must be a URL",
	"http_url":         "must be a URL",
	"uuid":             "must be a UUID",
	"iso4217":          "must be an ISO 4217 currency code",
	"unique":           "must not repeat itself",
}

var tagAmounts = map[string]string{
	"min": "at least ", "gte": "at least ", "max": "at most ", "lte": "at most ",
	"gt": "more than ", "lt": "less than ", "len": "exactly ",
}

// violationText returns what the tag requires.
func violationText(e validator.FieldError) string {
	amount, ok := tagAmounts[e.Tag()]
	if !ok {
		if e.Tag() == "oneof" {
			return "must be one of: " + strings.ReplaceAll(e.Param(), " ", ", ")
		}
		return cmp.Or(tagTexts[e.Tag()], "is not valid")
	}
	switch amount += e.Param(); e.Kind() {
	case reflect.String:
		return "must have " + amount + " characters"
	case reflect.Slice, reflect.Array, reflect.Map:
		return "must have " + amount + " items"
	default:
		return "must be " + amount
	}
}
