package httpserver

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/go-troika/troika/pkg/fault"
)

var (
	errMedia     = fault.New(fault.UnsupportedMedia, "unsupported_media_type", "Content-Type must be application/json")
	errEncoding  = fault.New(fault.UnsupportedMedia, "unsupported_encoding", "Content-Encoding is not supported")
	errTooLarge  = fault.New(fault.TooLarge, "body_too_large", "Request body is too large")
	errBody      = fault.New(fault.Malformed, "body_unreadable", "Request body could not be read")
	errMalformed = fault.New(fault.Malformed, "malformed_json", "Request body is not valid JSON")
	errInvalid   = fault.New(fault.Malformed, "validation_failed", "Validation failed")
)

// Bind reads the request's body into a T and checks the `validate` tags of T
// (github.com/go-playground/validator/v10). It fails with
//
//   - 415 unless the body is application/json, in UTF-8 and not compressed;
//   - 413 above 1 MiB;
//   - 400 "malformed_json" for anything but one JSON value of RFC 8259 in UTF-8,
//     for equal names in an object, a NUL character in a string, and nesting
//     deeper than 32;
//   - 400 "validation_failed" with every invalid field: wrong type, null, unknown
//     name (names are case-sensitive), or against its tags. Of more than 32, the first
//     31 and "and more".
func Bind[T any](c *gin.Context) (T, error) {
	var v T
	body, err := readJSON(c.Request)
	if err != nil {
		return v, err
	}
	invalid, err := decode(body, &v)
	if err != nil {
		return v, err
	}
	if invalid = append(invalid, violations(&v, invalid)...); len(invalid) > 0 {
		return v, errInvalid.WithFields(invalid...)
	}
	return v, nil
}

func readJSON(r *http.Request) ([]byte, error) {
	if !isJSON(r.Header.Values("Content-Type")) {
		return nil, errMedia
	}
	encoding := strings.Join(r.Header.Values("Content-Encoding"), ",")
	if encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, errEncoding
	}
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(r.Body)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, errBody.With(err)
	}
	return body, nil
}

// isJSON accepts one Content-Type of application/json, with no parameter but
// charset=utf-8.
func isJSON(lines []string) bool {
	if len(lines) != 1 {
		return false
	}
	media, params, err := mime.ParseMediaType(lines[0])
	if err != nil || media != mediaJSON {
		return false
	}
	charset, given := params["charset"]
	return len(params) == 0 || len(params) == 1 && given && strings.EqualFold(charset, "utf-8")
}
