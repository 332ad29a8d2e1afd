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

const (
	maxDepth   = 32
	maxMisfits = 16 // fields reported of a body that does not fit its type
	// maxMisfitBody is the largest body that is decoded again after a misfit.
	maxMisfitBody = 64 << 10
)

// decode reads body into v, which points to a zero value, by the rules of [Bind].
// The fields it returns do not fit v; the others are set.
func decode(body []byte, v any) ([]fault.Field, error) {
	if err := checkText(body); err != nil {
		return nil, err
	}
	body, misfits, err := withoutNulls(body)
	for err == nil {
		if len(misfits) >= maxMisfits || len(misfits) > 0 && len(body) > maxMisfitBody {
			return nil, errInvalid.WithDetail("there may be more").WithFields(misfits...)
		}
		err := json.Unmarshal(body, v, json.RejectUnknownMembers(true), json.WithUnmarshalers(strictUUID))
		if err == nil {
			return misfits, nil
		}
		misfit, ok := errors.AsType[*json.SemanticError](err)
		if !ok {
			return nil, errMalformed.WithDetail(syntaxErrorText(err)).With(err)
		}
		if misfit.JSONPointer == "" {
			return nil, errMalformed.WithDetail(misfitText(misfit)).With(err)
		}
		misfits = append(misfits, fault.Field{Name: fieldPath(misfit.JSONPointer), Message: misfitText(misfit)})
		if body, err = without(body, misfit.JSONPointer); err != nil {
			return nil, errMalformed.With(err)
		}
	}
	return nil, errMalformed.WithDetail(syntaxErrorText(err)).With(err)
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

// withoutNulls returns body without the members of objects that are null, and these
// as misfits. A null in an array stays: its element does not fit, or breaks a tag.
func withoutNulls(body []byte) ([]byte, []fault.Field, error) {
	if !bytes.Contains(body, []byte("null")) {
		return body, nil, nil
	}
	var misfits []fault.Field
	in := jsontext.NewDecoder(bytes.NewReader(body))
	var nulls []jsontext.Pointer
	for {
		token, err := in.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return body, nil, err
		}
		if token.Kind() == 'n' && len(nulls) < maxMisfits {
			nulls = append(nulls, in.StackPointer())
		}
	}
	for _, p := range nulls {
		misfits = append(misfits, fault.Field{Name: fieldPath(p), Message: "must not be null; leave it out instead"})
		var err error
		if body, err = without(body, p); err != nil {
			return body, nil, err
		}
	}
	return body, misfits, nil
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

// without returns body without the value at p: a member of an object goes with
// its name, an element of an array turns into null.
func without(body []byte, p jsontext.Pointer) ([]byte, error) {
	var out bytes.Buffer
	in := jsontext.NewDecoder(bytes.NewReader(body))
	to := jsontext.NewEncoder(&out)
	for {
		token, err := in.ReadToken()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		if in.StackPointer() != p {
			err = to.WriteToken(token)
		} else {
			err = drop(in, to, token)
		}
		if err != nil {
			return nil, err
		}
	}
}

// drop skips the value that token begins, or names.
func drop(in *jsontext.Decoder, to *jsontext.Encoder, token jsontext.Token) error {
	kind, length := in.StackIndex(in.StackDepth())
	if kind == '{' && length%2 == 1 {
		return in.SkipValue() // token is the name
	}
	if k := token.Kind(); k == '{' || k == '[' {
		for depth := in.StackDepth(); in.StackDepth() >= depth; {
			if _, err := in.ReadToken(); err != nil {
				return err
			}
		}
	}
	return to.WriteToken(jsontext.Null)
}

// unmarshalsItself reports whether t has an UnmarshalJSON or UnmarshalText method.
func unmarshalsItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) || p.Implements(reflect.TypeFor[json.Unmarshaler]())
}

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
		return "must be a time as of RFC 3339"
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
