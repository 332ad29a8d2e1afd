package machine

import (
	"os"
	"strings"
)

// Environ is an environment as [os.Environ] returns it.
type Environ []string

// Get returns the value of a variable; "" is as good as unset.
func (e Environ) Get(name string) string {
	for _, entry := range e {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// With returns the environment with set in the place of what it holds under the
// same names, or under those with _FILE behind.
func (e Environ) With(set map[string]string) Environ {
	var all Environ
	for _, entry := range e {
		name, _, _ := strings.Cut(entry, "=")
		_, replaced := set[name]
		_, file := set[strings.TrimSuffix(name, "_FILE")]
		if !replaced && !file {
			all = append(all, entry)
		}
	}
	for name, value := range set {
		all = append(all, name+"="+value)
	}
	return all
}

// WithDefaults returns e with the variables of a file of NAME=value lines added that e
// does not have.
func (e Environ) WithDefaults(file string) (Environ, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	set := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") && e.Get(name) == "" {
			set[name] = value
		}
	}
	return e.With(set), nil
}
