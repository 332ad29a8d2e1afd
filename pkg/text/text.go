// Package text validates and normalizes text from users, so that equal-looking emails
// compare equal and no invisible character changes how a text reads.
package text

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Error describes the problem with a text, for the person who wrote it.
type Error string

// Error returns the description.
func (e Error) Error() string { return string(e) }

// The errors of this package.
const (
	ErrLong      = Error("is too long")
	ErrInvisible = Error("must have a visible character")
	ErrControl   = Error("must not have control, formatting or unassigned characters")
	ErrEmail     = Error("must be an email address")
	ErrURL       = Error("must be an absolute https URL")
)

// Line returns a text of one line without the white space around it. It has at least
// one visible character and at most most characters.
func Line(s string, most int) (string, error) { return clean(s, most, "") }

// Lines is Line for a text of several lines, which may be empty.
func Lines(s string, most int) (string, error) {
	line, err := clean(s, most, "\n\t")
	if errors.Is(err, ErrInvisible) && strings.TrimSpace(s) == "" {
		return "", nil
	}
	return line, err
}

func clean(s string, most int, also string) (string, error) {
	if len(s) > most*utf8.UTFMax { // before the costly checks
		return "", ErrLong
	}
	s = strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n"))
	visible := false
	for _, r := range s {
		switch {
		case strings.ContainsRune(also, r):
		case r == utf8.RuneError, !known(r):
			return "", ErrControl
		default:
			visible = visible || unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S)
		}
	}
	switch {
	case utf8.RuneCountInString(s) > most:
		return "", ErrLong
	case !visible:
		return "", ErrInvisible
	}
	return s, nil
}

// known reports whether a character is a letter, mark, number, punctuation, symbol or
// plain space, or joins letters or emoji. It rejects controls, direction overrides,
// zero-width spaces, private and unassigned characters.
func known(r rune) bool {
	const joiner, nonJoiner = '\u200D', '\u200C'
	return r == ' ' || r == joiner || r == nonJoiner ||
		unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
}

const (
	maxEmail = 254 // RFC 5321, 4.5.3.1.3
	maxLocal = 64
)

var (
	localPattern = regexp.MustCompile("^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")
	hostPattern  = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
)

// Email returns the one form of an email address: without the white space around it,
// in lower case. It is ASCII (RFC 5321): an address in other letters has many
// spellings, and an internationalized domain has its form in ASCII.
func Email(s string) (string, error) {
	if len(s) > 2*maxEmail {
		return "", ErrEmail
	}
	s = strings.TrimSpace(s)
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' { // before a change of case, which may turn other letters into ASCII
			return "", ErrEmail
		}
	}
	s = strings.ToLower(s)
	local, host, ok := strings.Cut(s, "@")
	if !ok || len(s) > maxEmail || len(local) > maxLocal ||
		!localPattern.MatchString(local) || !hostPattern.MatchString(host) {
		return "", ErrEmail
	}
	return s, nil
}

// URL returns an absolute https URL of at most most bytes as it is. It has a host name
// or an address, a port from 1 to 65535 if any, no user, and no character that RFC
// 3986 would have escaped.
func URL(s string, most int) (string, error) {
	if len(s) > most {
		return "", ErrLong
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte("<>\"\\^`{|}", s[i]) >= 0 {
			return "", ErrURL
		}
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Opaque != "" {
		return "", ErrURL
	}
	host, port := u.Hostname(), u.Port()
	if !hostPattern.MatchString(strings.ToLower(host)) && net.ParseIP(host) == nil {
		return "", ErrURL
	}
	if n, err := strconv.Atoi(port); port != "" && (err != nil || n < 1 || n > 65535) || strings.HasSuffix(u.Host, ":") {
		return "", ErrURL
	}
	return s, nil
}
