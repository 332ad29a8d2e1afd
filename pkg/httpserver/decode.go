package httpserver

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/go-troika/troika/pkg/fault"
)

const (
	maxDepth = 32

	// Of a body that does not fit its type, this many fields are reported, and
	// fewer if the body is longer than any honest one.
	maxMisfits    = 16
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
			return nil, errMalformed.WithDetail(explain(err)).With(err)
		}
		if misfit.JSONPointer == "" {
			return nil, errMalformed.WithDetail(decodeErrorText(misfit)).With(err)
		}
		misfits = append(misfits, fault.Field{Name: fieldPath(misfit.JSONPointer), Message: decodeErrorText(misfit)})
		if body, err = without(body, misfit.JSONPointer); err != nil {
			return nil, errMalformed.With(err)
		}
	}
	return nil, errMalformed.WithDetail(explain(err)).With(err)
}

// strictUUID takes the 36 characters of RFC 9562 only, and not the nil UUID, which
// would read like none.
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

var errUUID = fault.New(fault.Malformed, "validation_failed", "must be a UUID")

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

// checkText finds what a JSON decoder lets pass: a body without a value or of null,
// deep nesting, and NUL characters, which Postgres cannot store. Raw
// control characters in strings are left to the decoder.
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

// explain returns what is wrong with the text in our own words: the decoder's would
// repeat the body.
func explain(err error) string {
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
