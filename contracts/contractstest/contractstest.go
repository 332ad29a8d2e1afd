// Package contractstest checks events in tests against their JSON Schemas.
package contractstest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/go-troika/troika/contracts"
	"github.com/go-troika/troika/pkg/events"
)

// Check fails t for each event whose payload its schema does not allow, or that has no
// schema. A redacted event must have lost its payload.
func Check(t testing.TB, published ...events.Envelope) {
	t.Helper()
	for _, e := range published {
		if err := check(e); err != nil {
			t.Errorf("%s, version %d: %v\n%s", e.Event, e.Version, err, e.Data)
		}
	}
}

func check(e events.Envelope) error {
	name := fmt.Sprintf("schemas/%s.%d.json", e.Event, e.Version)
	text, err := contracts.Schemas.ReadFile(name)
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat() // 2020-12 leaves formats open
	if err := compiler.AddResource(name, document); err != nil {
		return err
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		return err
	}
	payload, err := jsonschema.UnmarshalJSON(bytes.NewReader(e.Data))
	if err != nil {
		return err
	}
	if e.Redacted {
		if payload != "redacted" {
			return errors.New("redacted, but with a payload")
		}
		return nil
	}
	return schema.Validate(payload)
}
