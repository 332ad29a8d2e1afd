package openapi

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html"
	"path"
	"slices"
	"strings"
)

//go:embed page.css
var css string

// Page returns the document as one HTML page, without scripts or external resources. It fails if the document is
// not an OpenAPI 3 document in YAML.
func Page(document []byte) ([]byte, error) {
	api, err := parseOpenAPI(document)
	if err != nil {
		return nil, err
	}
	var p page
	p.document(api)
	return []byte(p.String()), nil
}

// Policy returns the Content-Security-Policy of the page, which allows only its style sheet.
func Policy() string {
	hash := sha256.Sum256([]byte(css))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// page writes the HTML without html/template, with which the linker would keep every
// exported method and binaries would grow by half (docs/adr/0003).
type page struct{ strings.Builder }

// put writes markup, with its arguments escaped.
func (p *page) put(markup string, args ...string) {
	escaped := make([]any, len(args))
	for i, a := range args {
		escaped[i] = html.EscapeString(a)
	}
	fmt.Fprintf(p, markup, escaped...)
}

// paragraph writes text as a paragraph, unless it is empty.
func (p *page) paragraph(text string) {
	if text != "" {
		p.put("<p>%s</p>\n", text)
	}
}

func (p *page) document(api *openAPI) {
	p.put(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s</title>
<style>`, api.Info.Title)
	p.WriteString(css)
	p.put("</style>\n</head>\n<body>\n<h1>%s <small>%s</small></h1>\n", api.Info.Title, api.Info.Version)
	p.paragraph(api.Info.Description)
	p.put(`<p>The description itself: <a href="openapi.yaml">openapi.yaml</a>. A star marks what is required.</p>
<h2>Operations</h2>
`)
	for _, at := range api.Paths {
		item := at.Value
		for _, op := range []entry[*operation]{
			{"GET", item.Get}, {"POST", item.Post}, {"PUT", item.Put}, {"PATCH", item.Patch}, {"DELETE", item.Delete},
		} {
			if op.Value != nil {
				p.operation(at.Name, op.Name, op.Value, slices.Concat(item.Parameters, op.Value.Parameters))
			}
		}
	}
	if len(api.Components.Schemas) > 0 {
		p.put("<h2>Schemas</h2>\n")
	}
	for _, s := range api.Components.Schemas {
		p.put("<details id=\"%s\">\n<summary><code>%s</code> %s</summary>\n<div>", s.Name, s.Name, s.Value.Description)
		p.schema(s.Value)
		p.put("</div>\n</details>\n")
	}
	p.put("</body>\n</html>\n")
}

func (p *page) operation(at, method string, op *operation, parameters []parameter) {
	p.put("<details>\n<summary><span class=\"method\">%s</span> <code>%s</code> %s</summary>\n<div>\n",
		method, at, op.Summary)
	p.paragraph(op.Description)
	if len(parameters) > 0 {
		p.put("<table><caption>Parameters</caption>\n")
		for _, param := range parameters {
			p.parameter(param)
		}
		p.put("</table>\n")
	}
	if op.RequestBody != nil {
		p.put("<table><caption>Request body</caption>\n")
		p.content(op.RequestBody)
		p.put("</table>\n")
	}
	p.put("<table><caption>Responses</caption>\n")
	for _, response := range op.Responses {
		if response.Value != nil {
			p.put("<tr><td><code>%s</code></td><td>%s</td></tr>\n", response.Name, response.Value.Description)
			p.content(response.Value)
		}
	}
	p.put("</table>\n</div>\n</details>\n")
}

func (p *page) parameter(param parameter) {
	if param.Ref != "" {
		p.name(path.Base(param.Ref), false)
	} else {
		p.name(param.Name, param.Required)
		p.put("%s, %s", param.In, param.Schema.text())
	}
	if param.Description != "" {
		p.put(". %s", param.Description)
	}
	p.put("</td></tr>\n")
}

// name begins a row of a table with a name; a star marks a required one.
func (p *page) name(name string, required bool) {
	class := ""
	if required {
		class = ` class="must"`
	}
	p.put("<tr><td><code"+class+">%s</code></td><td>", name)
}

func (p *page) content(c *content) {
	if c.Ref != "" {
		p.put("<tr><td></td><td><code>%s</code></td></tr>\n", c.Ref)
	}
	for _, media := range c.Content {
		p.put("<tr><td>%s</td><td>", media.Name)
		p.schema(media.Value.Schema)
		p.put("</td></tr>\n")
	}
}

func (p *page) schema(s schema) {
	switch {
	case len(s.Properties) > 0:
		p.put("<table>\n")
		for _, property := range s.Properties {
			p.name(property.Name, slices.Contains(s.Required, property.Name))
			if property.Value.Description != "" {
				p.put("%s ", property.Value.Description)
			}
			p.schema(property.Value)
			p.put("</td></tr>\n")
		}
		p.put("</table>\n")
	case s.Ref != "":
		p.put(`<a href="#%s"><code>%s</code></a>`, s.text(), s.text())
	case s.Items != nil:
		p.put("array of ")
		p.schema(*s.Items)
	default:
		p.put("<code>%s</code>", s.text())
	}
}
