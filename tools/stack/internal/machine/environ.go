package machine

import "strings"

// Environ is an environment as [os.Environ] returns it.
type Environ []string

// Get answers the value of a variable; "" is as good as unset.
func (e Environ) Get(name string) string {
	for _, entry := range e {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// With answers the environment with set in the place of what it holds under the
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

// GoFlags are the build flags of the whole repository: other flags would compile
// everything again.
const GoFlags = "-tags=nomsgpack,grpcnotrace,validator_novalidatefn -trimpath -buildvcs=false"

// ForGo answers the environment for the go command, with cgo or without, and
// with the repository's flags unless it sets others.
func (e Environ) ForGo(cgo bool) Environ {
	set := map[string]string{"CGO_ENABLED": "0"}
	if cgo {
		set["CGO_ENABLED"] = "1"
	}
	if e.Get("GOFLAGS") == "" {
		set["GOFLAGS"] = GoFlags
	}
	return e.With(set)
}
