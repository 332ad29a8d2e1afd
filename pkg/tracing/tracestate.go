package tracing

import (
	"regexp"
	"slices"
	"strings"
)

const maxStateMembers = 32

// stateMember is a member of a tracestate: a key of Level 2, which may begin with a digit
// and hold any number of @ after its first character, and a value of printable ASCII but
// comma and equals sign, without trailing blanks.
var stateMember = regexp.MustCompile(`^[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]$`)

// joinState reads all tracestate lines of a request as one list (Trace Context
// Level 2, section 3.3) and returns it in its shortest spelling. Empty members
// are skipped and the first of equal keys is kept. One malformed member, or more
// than 32, drops the list.
func joinState(lines []string) string {
	var members, keys []string
	for member := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		member = strings.Trim(member, " \t")
		if member == "" {
			continue
		}
		if len(keys) == maxStateMembers || !stateMember.MatchString(member) {
			return ""
		}
		key, _, _ := strings.Cut(member, "=")
		if !slices.Contains(keys, key) {
			members = append(members, member)
		}
		keys = append(keys, key)
	}
	return strings.Join(members, ",")
}
