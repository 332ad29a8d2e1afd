package controllers

import "github.com/go-troika/troika/pkg/text"

// email and name are texts of a request in the form in which they are kept.
type (
	email string
	name  string
)

const maxName = 200

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *email) UnmarshalText(b []byte) error {
	clean, err := text.Email(string(b))
	*e = email(clean)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *name) UnmarshalText(b []byte) error {
	clean, err := text.Line(string(b), maxName)
	*n = name(clean)
	return err
}
