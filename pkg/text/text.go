// Package text validates and normalizes text from users, so that equal-looking emails
// compare equal. Control characters, overrides of the direction and texts without a visible
// character are refused; joiners and variation selectors, which some scripts and emoji need,
// are not. All text is in Normalization Form C (Unicode Standard Annex 15).
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

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
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

// maxDecomposed is the bytes that a character has at most before normalization. None has
// more in practice; more is refused before the costly checks.
const maxDecomposed = 4 * utf8.UTFMax

func clean(s string, most int, also string) (string, error) {
	if len(s) > most*maxDecomposed {
		return "", ErrLong
	}
	s = norm.NFC.String(strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")))
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
// zero-width spaces, private and unassigned characters, and letters and symbols without a
// glyph, such as U+3164 HANGUL FILLER and U+2800 BRAILLE PATTERN BLANK.
func known(r rune) bool {
	const joiner, nonJoiner, blank = '\u200D', '\u200C', '\u2800'
	switch {
	case r == ' ', r == joiner, r == nonJoiner:
		return true
	case r == blank, unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
		return false
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
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
// spellings, and an internationalized domain has its form in ASCII (IDNA 2008).
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
		!localPattern.MatchString(local) || !validHost(host) {
		return "", ErrEmail
	}
	return s, nil
}

// registered validates the labels of a domain that begin with xn-- (RFC 5891, 4).
var registered = idna.New(idna.ValidateForRegistration())

// validHost reports whether host is a domain in lower case, of which each label has only
// one spelling.
func validHost(host string) bool {
	if !hostPattern.MatchString(host) {
		return false
	}
	readable, err := registered.ToUnicode(host)
	if err != nil || strings.ContainsFunc(readable, disallowed) {
		return false
	}
	again, err := registered.ToASCII(readable)
	return err == nil && again == host
}

// disallowed reports whether a domain may not contain r (RFC 5892): package idna accepts
// the symbols that only IDNA 2003 allowed.
func disallowed(r rune) bool {
	const others = "-.\u00b7\u0375\u05f3\u05f4\u30fb\u200c\u200d"
	return !unicode.In(r, unicode.L, unicode.M, unicode.Nd) && !strings.ContainsRune(others, r)
}

// urlPattern is an https URL of RFC 3986 without user information. Its first group is the
// authority.
var urlPattern = regexp.MustCompile(
	`^(?i:https)://([^/?#@%]+)(/` + urlChars + `)?(\?` + urlChars + `)?(#` + urlChars + `)?$`)

const urlChars = `(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*`

// URL returns an absolute https URL of at most most bytes as it is. It has a host name
// or an address, a port from 1 to 65535 if any, no user, and no character that RFC
// 3986 would have escaped.
func URL(s string, most int) (string, error) {
	if len(s) > most {
		return "", ErrLong
	}
	parts := urlPattern.FindStringSubmatch(s)
	if parts == nil {
		return "", ErrURL
	}
	u, err := url.Parse("//" + parts[1])
	if err != nil || strings.HasSuffix(u.Host, ":") {
		return "", ErrURL
	}
	if host := u.Hostname(); !validHost(strings.ToLower(host)) && net.ParseIP(host) == nil {
		return "", ErrURL
	}
	if n, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || n < 1 || n > 65535) {
		return "", ErrURL
	}
	return s, nil
}
