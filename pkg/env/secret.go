package env

import (
	"fmt"
	"io"
	"log/slog"
	"unique"
)

const redacted = "[redacted]"

// Secret is a string that does not print: fmt under every verb, encoding/json,
// encoding.TextMarshaler and log/slog all show "[redacted]". Even where a printer
// cannot call methods (the verb %p, an unexported field) it shows an address only,
// which is why Secret is not a string type.
//
// Secrets are comparable with ==; the zero Secret is the empty string. Safe for
// concurrent use.
type Secret struct {
	value unique.Handle[string]
}

// NewSecret wraps value.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{unique.Make(value)}
}

// Reveal returns the value itself. Hand it to what needs it and nowhere else.
func (s Secret) Reveal() string {
	if s == (Secret{}) {
		return ""
	}
	return s.value.Value()
}

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// Format implements [fmt.Formatter] for all verbs and flags.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], and thereby JSON and YAML.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]; every text is valid.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}
