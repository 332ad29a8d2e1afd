package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Fact is something that can be true of a package's source.
type Fact string

// Import is true where the package at path, or one below it, is imported.
func Import(path string) Fact { return Fact("imports " + path) }

// Tag is true where a struct field has a tag with the key.
func Tag(key string) Fact { return Fact("has a struct tag " + key) }

// Use is true where a name of another package is used, e.g. "os.Getenv".
func Use(name string) Fact { return Fact("uses " + name) }

// What a package may do beside that.
const (
	Goroutine Fact = "starts a goroutine"
	Panic     Fact = "calls panic"
	Init      Fact = "has a func init"
)

// Package is what Check knows of one package.
type Package struct {
	// Dir is its folder below the module's, "." for the root, with slashes.
	Dir string

	siblings map[string]bool // folders of the packages that it imports from its own module
	facts    map[Fact]bool
}

// read returns the packages of the module in dir, by folder.
func read(dir string) (map[string]Package, error) {
	module, err := modulePath(dir)
	if err != nil {
		return nil, err
	}
	packages := map[string]Package{}
	return packages, filepath.WalkDir(dir, func(file string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return enter(dir, file)
		case !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		rel, err := filepath.Rel(dir, filepath.Dir(file))
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if _, ok := packages[rel]; !ok {
			packages[rel] = Package{Dir: rel, siblings: map[string]bool{}, facts: map[Fact]bool{}}
		}
		return packages[rel].read(module, file)
	})
}

// enter keeps the walk out of test data and modules in modules.
func enter(root, dir string) error {
	if dir == root {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || filepath.Base(dir) == "testdata" {
		return fs.SkipDir
	}
	return nil
}

var moduleLine = regexp.MustCompile(`(?m)^module (\S+)$`)

func modulePath(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	line := moduleLine.FindSubmatch(text)
	if line == nil {
		return "", fmt.Errorf("%s: no module line in go.mod", dir)
	}
	return string(line[1]), nil
}

// read adds what is true of one file.
func (p Package) read(module, file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	names := map[string]string{} // of imports: as the file spells them, and what they are
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		name := path.Base(imported)
		names[name] = name
		if spec.Name != nil {
			names[spec.Name.Name] = name
		}
		p.noteImport(module, imported)
	}
	for node := range ast.Preorder(parsed) {
		p.note(node, names)
	}
	return nil
}

func (p Package) noteImport(module, imported string) {
	if sibling, ok := strings.CutPrefix(imported, module+"/"); ok {
		p.siblings[sibling] = true
	}
	for ; imported != "."; imported = path.Dir(imported) {
		p.facts[Import(imported)] = true
	}
}

func (p Package) note(node ast.Node, imports map[string]string) {
	switch n := node.(type) {
	case *ast.GoStmt:
		p.facts[Goroutine] = true
	case *ast.FuncDecl:
		if n.Recv == nil && n.Name.Name == "init" {
			p.facts[Init] = true
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "panic" {
			p.facts[Panic] = true
		}
	case *ast.SelectorExpr:
		if x, ok := n.X.(*ast.Ident); ok && imports[x.Name] != "" {
			p.facts[Use(imports[x.Name]+"."+n.Sel.Name)] = true
		}
	case *ast.Field:
		if n.Tag == nil {
			return
		}
		tag, _ := strconv.Unquote(n.Tag.Value) // the parser accepts nothing that cannot be unquoted
		for _, key := range tagKey.FindAllStringSubmatch(tag, -1) {
			p.facts[Tag(key[1])] = true
		}
	}
}

// tagKey matches a key and its value, as in gorm:"column:id".
var tagKey = regexp.MustCompile(`(\w+):"(?:[^"\\]|\\.)*"`)
