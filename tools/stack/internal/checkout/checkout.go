// Package checkout finds the repository the driver works on, its services and modules,
// and the folder where a running stack keeps its files.
package checkout

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/go-troika/troika/pkg/env"
)

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

// Service is the content of a service.yaml.
type Service struct {
	Name      string `yaml:"name"`
	Port      int    `yaml:"port"`
	AdminPort int    `yaml:"adminPort"`
}

// ParseService reads a service.yaml. It ignores other keys.
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

// Variable returns the service's name as the prefix of a variable: USER_SERVICE.
func (s Service) Variable() string { return strings.ToUpper(s.Role()) }

// Role returns the service's name as that of a Postgres role: user_service.
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

// Modules returns a pattern for the packages of each module of the workspace, such as
// github.com/go-troika/troika/pkg/... .
func Modules(root string) ([]string, error) {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Path}}/...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the modules of %s: %w", root, err)
	}
	return strings.Fields(string(out)), nil
}
