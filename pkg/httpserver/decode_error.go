package httpserver

import (
	"errors"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/text"
)

// decodeErrorText returns what was expected where the JSON does not fit its Go type. A
// type with an UnmarshalText has its own words if that returns a [fault.Error].
func decodeErrorText(e *json.SemanticError) string {
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		return "is not a known field"
	case errors.Is(e.Err, strconv.ErrRange):
		return "is out of range"
	case e.GoType == nil:
		return "is not valid"
	case e.GoType == reflect.TypeFor[time.Time]():
		return "must be a time as of RFC 3339"
	}
	if says, ok := errors.AsType[*fault.Error](e.Err); ok {
		return says.Message()
	}
	if says := textProblem(e.Err); says != "" {
		return says
	}
	switch kind := e.GoType.Kind(); {
	case isInteger(kind):
		return "must be a whole number"
	case kind == reflect.Float32 || kind == reflect.Float64:
		return "must be a number"
	case kind == reflect.String:
		return "must be a string"
	case kind == reflect.Bool:
		return "must be true or false"
	case kind == reflect.Slice:
		return "must be an array"
	case isObject(e.GoType):
		return "must be an object"
	default:
		return "is not valid"
	}
}

// textProblem returns what package text says of err, "" for nothing.
func textProblem(err error) string {
	for _, known := range []error{text.ErrLong, text.ErrInvisible, text.ErrControl, text.ErrEmail, text.ErrURL} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return ""
}

func isInteger(k reflect.Kind) bool { return k >= reflect.Int && k <= reflect.Uint64 }

// isObject leaves out structs with a text form, such as times.
func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Map || t.Kind() == reflect.Struct && !t.Implements(textMarshaler)
}
