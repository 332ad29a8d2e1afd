package controllers

import "strings"

// text is a string of a request without the white space around it, so that
// what is checked is what will be kept.
type text string

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *text) UnmarshalText(b []byte) error {
	*t = text(strings.TrimSpace(string(b)))
	return nil
}
