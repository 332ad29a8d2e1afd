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
)

// decode reads body into v, which points to a zero value, by the rules of [Bind].
// The fields it returns do not fit v; the others are set.
func decode(body []byte, v any) ([]fault.Field, error) {
	if err := checkText(body); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, new(jsontext.Value)); err != nil { // checks the syntax only
		return nil, errMalformed.WithDetail(syntaxErrorText(err)).With(err)
	}
	d := decoder{Decoder: jsontext.NewDecoder(bytes.NewReader(body))}
	err := d.value("", reflect.ValueOf(v).Elem(), false)
	switch {
	case errors.Is(err, errManyMisfits):
		return nil, errInvalid.WithDetail("there may be more").WithFields(d.misfits...)
	case err != nil:
		return nil, errMalformed.With(err)
	case len(d.misfits) == 1 && d.misfits[0].Name == "":
		return nil, errMalformed.WithDetail(d.misfits[0].Message)
	}
	return d.misfits, nil
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

// decoder decodes valid JSON like package json, but goes on after a value that does not
// fit, so that the caller learns of all such fields at once.
type decoder struct {
	*jsontext.Decoder
	misfits []fault.Field
}

var errManyMisfits = errors.New("too many fields do not fit")

func (d *decoder) misfit(path, message string) error {
	d.misfits = append(d.misfits, fault.Field{Name: path, Message: message})
	if len(d.misfits) == maxMisfits {
		return errManyMisfits
	}
	return nil
}

// value decodes the next value, at path, into v. It goes through structs and slices itself
// and leaves all other values to package json. With quoted, numbers are in strings.
func (d *decoder) value(path string, v reflect.Value, quoted bool) error {
	kind := d.PeekKind()
	if v.Kind() == reflect.Pointer && kind != 'n' {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case kind == '{' && v.Kind() == reflect.Struct && !unmarshalsItself(v.Type()):
		return d.object(path, v)
	case kind == '[' && v.Kind() == reflect.Slice && !unmarshalsItself(v.Type()):
		return d.array(path, v, quoted)
	}
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	err = json.Unmarshal(raw, v.Addr().Interface(), json.WithUnmarshalers(strictUUID), json.StringifyNumbers(quoted))
	if misfit, ok := errors.AsType[*json.SemanticError](err); ok {
		return d.misfit(path, misfitText(misfit))
	}
	return err
}

func (d *decoder) object(path string, v reflect.Value) error {
	if _, err := d.ReadToken(); err != nil { // {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if err := d.member(path, name.String(), v); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// member decodes a member's value into the field of v with its name.
func (d *decoder) member(path, name string, v reflect.Value) error {
	if path != "" {
		path += "."
	}
	path += name
	problem := "is not a known field"
	if d.PeekKind() == 'n' {
		problem = "must not be null; leave it out instead"
	} else if f, ok := fieldNamed(v.Type(), name); ok {
		return d.value(path, v.FieldByIndex(f.Index), strings.Contains(f.Tag.Get("json"), ",string"))
	}
	if err := d.SkipValue(); err != nil {
		return err
	}
	return d.misfit(path, problem)
}

func fieldNamed(t reflect.Type, name string) (reflect.StructField, bool) {
	for _, f := range reflect.VisibleFields(t) {
		if f.IsExported() && !f.Anonymous && f.Tag.Get("json") != "-" && jsonName(f) == name {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func (d *decoder) array(path string, v reflect.Value, quoted bool) error {
	if _, err := d.ReadToken(); err != nil { // [
		return err
	}
	for i := 0; d.PeekKind() != ']'; i++ {
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if err := d.value(path+"["+strconv.Itoa(i)+"]", v.Index(i), quoted); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
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
