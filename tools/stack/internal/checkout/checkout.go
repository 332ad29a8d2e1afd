// Package checkout knows the repository the driver works on: where it is, which
// services and modules it holds, and where a running stack keeps its files.
package checkout

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/go-troika/troika/pkg/env"
)

// Prefix is the module path that all modules of the repository share.
const Prefix = "github.com/go-troika/troika/"

// Find returns the root of the checkout that dir lies in: the nearest folder
// upwards that holds go.work and services.
func Find(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		_, work := os.Stat(filepath.Join(d, "go.work"))
		_, services := os.Stat(filepath.Join(d, "services"))
		if work == nil && services == nil {
			return filepath.EvalSymlinks(d)
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("%s is not inside a checkout: no folder above it holds go.work and services/", dir)
		}
	}
}

// Service is what a service.yaml says of its service.
type Service struct {
	Name      string `yaml:"name"`
	Port      int    `yaml:"port"`
	AdminPort int    `yaml:"adminPort"`
}

// ParseService reads a service.yaml. Keys it has no use for are passed over.
func ParseService(text []byte) (Service, error) {
	var s Service
	if err := yaml.Unmarshal(text, &s); err != nil {
		return s, err
	}
	var errs []error
	if !env.IsServiceName(s.Name) {
		errs = append(errs, fmt.Errorf("name: %q is not lower-case words joined by hyphens, at most 40 characters", s.Name))
	}
	for key, port := range map[string]int{"port": s.Port, "adminPort": s.AdminPort} {
		if port < 1 || port > 65535 {
			errs = append(errs, fmt.Errorf("%s: %d is not a port", key, port))
		}
	}
	return s, errors.Join(errs...)
}

// Variable returns the service's name as it stands in variables: USER_SERVICE.
func (s Service) Variable() string { return strings.ToUpper(s.Role()) }

// Role returns the service's name as Postgres knows it: user_service.
func (s Service) Role() string { return strings.ReplaceAll(s.Name, "-", "_") }

// Services reads every services/*/service.yaml below root.
func Services(root string) ([]Service, error) {
	files, err := filepath.Glob(filepath.Join(root, "services", "*", "service.yaml"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, errors.New("no services/*/service.yaml in "+root))
	}
	var all []Service
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, err := ParseService(text)
		if err == nil && s.Name != filepath.Base(filepath.Dir(file)) {
			err = fmt.Errorf("name: %q is not the name of its folder", s.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// Modules returns the folders that go.work lists, as package patterns such as
// ./pkg/... .
func Modules(root string) ([]string, error) {
	cmd := exec.Command("go", "work", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("read go.work: %w", err)
	}
	var work struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal(out, &work); err != nil {
		return nil, fmt.Errorf("read go.work: %w", err)
	}
	var patterns []string
	for _, use := range work.Use {
		patterns = append(patterns, "./"+filepath.ToSlash(filepath.Clean(use.DiskPath))+"/...")
	}
	return patterns, nil
}
