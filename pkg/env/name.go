package env

import "regexp"

// maxServiceName leaves room for "_" and an environment in the 63 bytes of a Postgres name.
const maxServiceName = 40

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// IsServiceName reports whether name can be that of a service, wherever one is named:
// lower-case words of letters and digits, joined by hyphens, at most 40 bytes, such as
// "user-service".
func IsServiceName(name string) bool {
	return len(name) <= maxServiceName && serviceName.MatchString(name)
}
