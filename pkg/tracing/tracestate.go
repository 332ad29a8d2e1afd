package tracing

import (
	"slices"
	"strings"
)

const (
	maxStateMembers = 32
	maxStateKey     = 256
	maxStateValue   = 256
)

// joinState reads all tracestate lines of a request as one list (Trace Context
// Level 2, section 3.3) and returns it in its shortest spelling. Empty members
// are skipped and the first of equal keys is kept. One malformed member, or more
// than 32, drops the list.
func joinState(lines []string) string {
	var members, keys []string
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			member = strings.Trim(member, " \t")
			if member == "" {
				continue
			}
			key, value, _ := strings.Cut(member, "=")
			if len(keys) == maxStateMembers || !validStateKey(key) || !validStateValue(value) {
				return ""
			}
			if !slices.Contains(keys, key) {
				members = append(members, member)
			}
			keys = append(keys, key)
		}
	}
	return strings.Join(members, ",")
}

// validStateKey follows Level 2, where a key may begin with a digit and hold any
// number of @ after its first character.
func validStateKey(key string) bool {
	if key == "" || len(key) > maxStateKey || !isAlpha(key[0]) && !isDigit(key[0]) {
		return false
	}
	for i := 1; i < len(key); i++ {
		if c := key[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("_-*/@", c) < 0 {
			return false
		}
	}
	return true
}

// validStateValue expects the value without trailing blanks.
func validStateValue(value string) bool {
	if value == "" || len(value) > maxStateValue {
		return false
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == ',' || c == '=' {
			return false
		}
	}
	return true
}
