package httpserver

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/go-troika/troika/pkg/fault"
)

// decodeEach reads body into v value by value, where [json.Unmarshal] stops at the first
// that does not fit. It returns those that do not fit, at most one more than a response
// names, and sets the others. The error is about the syntax.
func decodeEach(body []byte, v any) ([]fault.Field, error) {
	r := reader{in: jsontext.NewDecoder(bytes.NewBuffer(body)), fields: map[reflect.Type]map[string]jsonField{}}
	err := r.value(reflect.ValueOf(v).Elem(), nil)
	if err == nil {
		_, err = r.in.ReadToken()
	}
	if err == nil {
		err = errors.New("trailing data")
	}
	if errors.Is(err, io.EOF) || errors.Is(err, errEnough) {
		err = nil
	}
	return r.misfits, err
}

// reader decodes one body.
type reader struct {
	in      *jsontext.Decoder
	misfits []fault.Field
	fields  map[reflect.Type]map[string]jsonField
}

// errEnough ends the reading of a body with more misfits than a response names.
var errEnough = errors.New("enough misfits")

// misfit notes that the last value read does not fit.
func (r *reader) misfit(within jsontext.Pointer, message string) error {
	r.misfits = append(r.misfits, fault.Field{Name: fieldPath(r.in.StackPointer() + within), Message: message})
	if len(r.misfits) > maxFields {
		return errEnough
	}
	return nil
}

// value reads the next value into v.
func (r *reader) value(v reflect.Value, options json.Options) error {
	switch kind := r.in.PeekKind(); {
	case kind == 'n':
		if err := r.in.SkipValue(); err != nil {
			return err
		}
		return r.misfit("", "must not be null; leave it out instead")
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return r.value(v.Elem(), options)
	case unmarshalsItself(v.Type()):
	case v.Kind() == reflect.Struct && kind == '{':
		return r.object(v)
	case v.Kind() == reflect.Slice && kind == '[':
		return r.array(v, options)
	}
	text, err := r.in.ReadValue()
	if err != nil {
		return err
	}
	err = json.Unmarshal(text, v.Addr().Interface(), strict, options)
	if misfit, ok := errors.AsType[*json.SemanticError](err); ok {
		v.SetZero()
		return r.misfit(misfit.JSONPointer, misfitText(misfit))
	}
	return err
}

// object reads an object into a struct.
func (r *reader) object(v reflect.Value) error {
	if _, err := r.in.ReadToken(); err != nil {
		return err
	}
	fields, known := r.fields[v.Type()]
	if !known {
		fields = jsonFields(v.Type())
		r.fields[v.Type()] = fields
	}
	for r.in.PeekKind() != '}' {
		name, err := r.in.ReadToken()
		if err != nil {
			return err
		}
		field, known := fields[name.String()]
		if known {
			err = r.value(v.FieldByIndex(field.index), field.options)
		} else if err = r.in.SkipValue(); err == nil {
			err = r.misfit("", "is not a known field")
		}
		if err != nil {
			return err
		}
	}
	_, err := r.in.ReadToken()
	return err
}

// array reads an array into a slice.
func (r *reader) array(v reflect.Value, options json.Options) error {
	if _, err := r.in.ReadToken(); err != nil {
		return err
	}
	for r.in.PeekKind() != ']' {
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		if err := r.value(v.Index(v.Len()-1), options); err != nil {
			return err
		}
	}
	_, err := r.in.ReadToken()
	return err
}

// jsonField is where a member of an object goes.
type jsonField struct {
	index   []int
	options json.Options // of the tag
}

// jsonFields returns the fields of a struct by their names in JSON.
func jsonFields(t reflect.Type) map[string]jsonField {
	fields := map[string]jsonField{}
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		if !f.IsExported() || f.Anonymous && tag == "" || tag == "-" {
			continue
		}
		_, options, _ := strings.Cut(tag, ",")
		fields[jsonName(f)] = jsonField{f.Index, json.StringifyNumbers(strings.Contains(","+options+",", ",string,"))}
	}
	return fields
}
