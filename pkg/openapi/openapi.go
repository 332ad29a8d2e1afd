package openapi

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/goccy/go-yaml"
)

// openAPI holds the parts of an OpenAPI 3 document that the page shows.
type openAPI struct {
	OpenAPI string `yaml:"openapi"`
	Info    struct {
		Title       string `yaml:"title"`
		Version     string `yaml:"version"`
		Description string `yaml:"description"`
	} `yaml:"info"`
	Paths      ordered[pathItem] `yaml:"paths"`
	Components struct {
		Schemas ordered[schema] `yaml:"schemas"`
	} `yaml:"components"`
}

type pathItem struct {
	Parameters []parameter `yaml:"parameters"`

	Get    *operation `yaml:"get"`
	Post   *operation `yaml:"post"`
	Put    *operation `yaml:"put"`
	Patch  *operation `yaml:"patch"`
	Delete *operation `yaml:"delete"`
}

type operation struct {
	Summary     string            `yaml:"summary"`
	Description string            `yaml:"description"`
	Parameters  []parameter       `yaml:"parameters"`
	RequestBody *content          `yaml:"requestBody"`
	Responses   ordered[*content] `yaml:"responses"`
}

type parameter struct {
	Ref         string `yaml:"$ref"`
	Name        string `yaml:"name"`
	In          string `yaml:"in"`
	Required    bool   `yaml:"required"`
	Description string `yaml:"description"`
	Schema      schema `yaml:"schema"`
}

// content is a request body or a response.
type content struct {
	Ref         string `yaml:"$ref"`
	Description string `yaml:"description"`
	Content     ordered[struct {
		Schema schema `yaml:"schema"`
	}] `yaml:"content"`
}

type schema struct {
	Ref         string          `yaml:"$ref"`
	Type        any             `yaml:"type"` // a name, or names from OpenAPI 3.1 on
	Format      string          `yaml:"format"`
	Description string          `yaml:"description"`
	Enum        []any           `yaml:"enum"`
	Required    []string        `yaml:"required"`
	Properties  ordered[schema] `yaml:"properties"`
	Items       *schema         `yaml:"items"`
	AllOf       []schema        `yaml:"allOf"`
	OneOf       []schema        `yaml:"oneOf"`
}

func parseOpenAPI(text []byte) (*openAPI, error) {
	var api openAPI
	if err := yaml.Unmarshal(text, &api); err != nil {
		return nil, fmt.Errorf("parse OpenAPI description: %w", err)
	}
	if !strings.HasPrefix(api.OpenAPI, "3.") {
		return nil, errors.New("parse OpenAPI description: it is not of OpenAPI 3")
	}
	return &api, nil
}

// text returns the schema on one line.
func (s schema) text() string {
	switch {
	case s.Ref != "":
		return path.Base(s.Ref)
	case s.Items != nil:
		return "array of " + s.Items.text()
	case len(s.AllOf) > 0:
		return joinTexts(s.AllOf, " and ")
	case len(s.OneOf) > 0:
		return joinTexts(s.OneOf, " or ")
	case s.Type == nil:
		return "any"
	}
	text := strings.Trim(fmt.Sprint(s.Type), "[]")
	if s.Format != "" {
		text += " (" + s.Format + ")"
	}
	if len(s.Enum) > 0 {
		text += ": " + strings.Trim(fmt.Sprint(s.Enum), "[]")
	}
	return text
}

func joinTexts(parts []schema, by string) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.text()
	}
	return strings.Join(texts, by)
}

// ordered is a YAML map in the order it was written.
type ordered[T any] []entry[T]

type entry[T any] struct {
	Name  string
	Value T
}

// UnmarshalYAML implements [yaml.InterfaceUnmarshaler].
func (o *ordered[T]) UnmarshalYAML(unmarshal func(any) error) error {
	var names yaml.MapSlice
	var values map[string]T
	if err := errors.Join(unmarshal(&names), unmarshal(&values)); err != nil {
		return err
	}
	for _, n := range names {
		name := fmt.Sprint(n.Key) // response codes may be numbers
		*o = append(*o, entry[T]{name, values[name]})
	}
	return nil
}
