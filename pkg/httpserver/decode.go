package httpserver

import (
	"bytes"
	"encoding"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
	"github.com/go-troika/troika/pkg/text"
)

const maxDepth = 32

var strict = json.JoinOptions(json.RejectUnknownMembers(true), json.WithUnmarshalers(strictUUID))

// decode reads body into v, which points to a zero value, by the rules of [Bind].
// The fields it returns do not fit v; the others are set.
func decode(body []byte, v any) ([]fault.Field, error) {
	if err := checkText(body); err != nil {
		return nil, err
	}
	err := json.Unmarshal(body, v, strict)
	if err == nil && !bytes.Contains(body, []byte("null")) {
		return nil, nil
	}
	reflect.ValueOf(v).Elem().SetZero()
	misfits, malformed := decodeEach(body, v)
	misfit, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case malformed != nil:
		return nil, errMalformed.WithDetail(syntaxErrorText(malformed)).With(malformed)
	case len(misfits) > 0 && misfits[0].Name == "":
		return nil, errMalformed.WithDetail(misfits[0].Message)
	case len(misfits) == 0 && ok: // of a type that decodeEach reads as a whole
		return []fault.Field{{Name: fieldPath(misfit.JSONPointer), Message: misfitText(misfit)}}, nil
	case len(misfits) == 0 && err != nil:
		return nil, errMalformed.WithDetail(syntaxErrorText(err)).With(err)
	}
	return misfits, nil
}

// checkText finds what the decoder accepts: a body without a value or of null, deep
// nesting, and NUL characters, which Postgres cannot store. The decoder finds raw control
// characters in strings.
func checkText(body []byte) error {
	switch text := bytes.Trim(body, " \t\r\n"); {
	case len(text) == 0:
		return errMalformed.WithDetail("the body is empty")
	case string(text) == "null":
		return errMalformed.WithDetail("the body is null")
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			if bytes.HasPrefix(body[i:], []byte(`\u0000`)) {
				return errMalformed.WithDetail("a string holds a NUL character")
			}
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return errMalformed.WithDetail("nested deeper than " + strconv.Itoa(maxDepth))
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// syntaxErrorText describes err without quoting the body, as the decoder's text does.
func syntaxErrorText(err error) string {
	syntax, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "an object has the same name twice"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the body ends too early"
	case ok:
		return "at byte " + strconv.FormatInt(syntax.ByteOffset, 10)
	default:
		return ""
	}
}

// fieldPath writes /items/0/quantity as items[0].quantity.
func fieldPath(p jsontext.Pointer) string {
	var path strings.Builder
	for token := range p.Tokens() {
		switch _, err := strconv.ParseUint(token, 10, 32); {
		case err == nil:
			path.WriteString("[" + token + "]")
		case path.Len() > 0:
			path.WriteString("." + token)
		default:
			path.WriteString(token)
		}
	}
	return path.String()
}

// unmarshalsItself reports whether t has an UnmarshalJSON or UnmarshalText method.
func unmarshalsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || p.Implements(reflect.TypeFor[json.Unmarshaler]())
}

const timeText = "must be a time as of RFC 3339"

var errUUID = fault.New(fault.Malformed, "validation_failed", "must be a UUID")

// strictUUID accepts only the 36 characters of RFC 9562, and not the nil UUID, which
// validation could not tell from a missing one.
var strictUUID = json.UnmarshalFunc(func(text []byte, id *uuid.UUID) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return errUUID
	}
	parsed, ok := parseUUID(s)
	if !ok || parsed == uuid.Nil {
		return errUUID
	}
	*id = parsed
	return nil
})

// misfitText returns what was expected of a value that does not fit its Go type. A type
// with an UnmarshalText supplies its own text with a [fault.Error] or an error of package
// text.
func misfitText(e *json.SemanticError) string {
	if own, ok := errors.AsType[*fault.Error](e.Err); ok {
		return own.Message()
	}
	if own, ok := errors.AsType[text.Error](e.Err); ok {
		return own.Error()
	}
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		return "is not a known field"
	case errors.Is(e.Err, strconv.ErrRange):
		return "is out of range"
	case e.GoType == nil:
		return "is not valid"
	case e.GoType == reflect.TypeFor[time.Time]():
		return timeText
	}
	switch kind := e.GoType.Kind(); kind {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "must be a whole number"
	case reflect.Float32, reflect.Float64:
		return "must be a number"
	case reflect.String:
		return "must be a string"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Slice:
		return "must be an array"
	case reflect.Map, reflect.Struct:
		if !unmarshalsItself(e.GoType) {
			return "must be an object"
		}
	}
	return "is not valid"
}
