package env_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/env"
)

const hidden = "hunter2"

// spellings are the ways in which fmt could show the value.
var spellings = []string{hidden, "68756e74657232", "68 75 6e", "0x68", "104 117", "[104"}

func TestSecretDoesNotPrint(t *testing.T) {
	t.Parallel()
	type holder struct {
		Public  env.Secret
		private env.Secret
	}
	s := env.NewSecret(hidden)
	values := []any{
		s, &s, []env.Secret{s}, map[string]env.Secret{"k": s}, map[env.Secret]int{s: 1},
		holder{s, s}, &holder{s, s},
	}
	for _, verb := range "vTtbcdoOqxXUeEfFgGspw" {
		for _, flag := range []string{"", "+", "#", " ", "-10.3", "0"} {
			for _, value := range values {
				format := "%" + flag + string(verb)
				text := fmt.Sprintf(format, value)
				for _, spelling := range spellings {
					if strings.Contains(text, spelling) {
						t.Errorf("%s of %T shows %s", format, value, text)
					}
				}
			}
		}
	}
	if got := fmt.Sprintf("%s %v %q %x", s, s, s, s); got != strings.Repeat("[redacted] ", 3)+"[redacted]" {
		t.Errorf("printed %q", got)
	}
	if s.String() != "[redacted]" {
		t.Errorf("String: %q", s.String())
	}
}

func TestSecretDoesNotMarshal(t *testing.T) {
	t.Parallel()
	s := env.NewSecret(hidden)
	text, err := json.Marshal(map[string]any{"a": s, "b": &s, "c": struct{ S env.Secret }{s}})
	if want := `{"a":"[redacted]","b":"[redacted]","c":{"S":"[redacted]"}}`; err != nil || string(text) != want {
		t.Errorf("JSON %s, %v", text, err)
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("x", "s", s, "p", &s, "in", struct{ S env.Secret }{s})
	}
	if strings.Contains(log.String(), hidden) || strings.Count(log.String(), "[redacted]") < 4 {
		t.Errorf("log: %s", log.String())
	}
}

func TestSecretComparesAndReveals(t *testing.T) {
	t.Parallel()
	one, same, another := env.NewSecret("a"), env.NewSecret("a"), env.NewSecret("b")
	if one != same || one == another {
		t.Error("== does not compare values")
	}
	if env.NewSecret("") != (env.Secret{}) || (env.Secret{}).Reveal() != "" {
		t.Error("the zero Secret is not the empty string")
	}
	if got := env.NewSecret(hidden).Reveal(); got != hidden {
		t.Errorf("Reveal: %q", got)
	}
}
