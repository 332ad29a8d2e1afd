package text_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/go-troika/troika/pkg/text"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"Ada Lovelace": "Ada Lovelace", "  Ada\t": "Ada", "Ñandú": "Ñandú", "李小龙": "李小龙", "👩\u200d🚀": "👩\u200d🚀", "O'Neil-Smith": "O'Neil-Smith",
		"Jose\u0301": "Jos\u00e9", "\u1112\u1161\u11ab": "\ud55c", "\u212bngstrom": "\u00c5ngstrom", "❤\ufe0f": "❤\ufe0f",
		strings.Repeat("\u1112\u1161\u11ab", 20): strings.Repeat("\ud55c", 20), // one form, of 20 characters
	} {
		if got, err := text.Line(given, 20); got != want || err != nil {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
	for given, want := range map[string]error{
		"": text.ErrInvisible, " \u200d ": text.ErrInvisible, "\u0301": text.ErrInvisible,
		"\u200b": text.ErrControl, "a\u200bb": text.ErrControl, "a\u202eb": text.ErrControl, "a\u2066b": text.ErrControl, "a\x1b[31m": text.ErrControl,
		"a\nb": text.ErrControl, "a\r\nb": text.ErrControl, "a\u00adb": text.ErrControl, "\ufeffa": text.ErrControl, "\ue000": text.ErrControl,
		"\u3164": text.ErrControl, "a\uffa0": text.ErrControl, "\u2800": text.ErrControl, "a\u034fb": text.ErrControl, "\u115f\u1160": text.ErrControl,
		"\xff": text.ErrControl, "a\x00b": text.ErrControl, strings.Repeat("x", 21): text.ErrLong, strings.Repeat("é", 1<<20): text.ErrLong,
	} {
		if got, err := text.Line(given, 20); !errors.Is(err, want) {
			t.Errorf("%.40q: %q, %v, want %v", given, got, err, want)
		}
	}
	if got, err := text.Lines("a\r\nb\tc", 20); got != "a\nb\tc" || err != nil {
		t.Errorf("lines: %q, %v", got, err)
	}
	if got, err := text.Lines(" ", 20); got != "" || err != nil {
		t.Errorf("no lines: %q, %v", got, err)
	}
}

func TestEmail(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"Ada@Example.COM": "ada@example.com", " a.b+c@x.co ": "a.b+c@x.co", "a@xn--bcher-kva.example": "a@xn--bcher-kva.example",
	} {
		if got, err := text.Email(given); got != want || err != nil {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
	for _, given := range []string{
		"", "a", "a@", "@b.co", "a@b", "a@b..co", ".a@b.co", "a.@b.co", "a..b@c.co", "a b@c.co", "a@b.co\n", "a@b.co ,c@d.co", "a@-b.co", "a@b.1",
		"mi\u212ae@example.com", "bücher@example.com", "bu\u0308cher@example.com", "a@bücher.example", "a\u200b@b.co", "\"a\"@b.co", "a@[127.0.0.1]",
		"a@xn--a.example", "a@xn--.example", "a@xn--ada-.example", "a@xn--abcdefgh.example", "a@ab--cd.example", "a@xn--i28h.example",
		strings.Repeat("a", 65) + "@b.co", "a@" + strings.Repeat("b.", 130) + "co", strings.Repeat("a@b.co", 1<<17),
	} {
		if strings.TrimSpace(given) != given && given == "a@b.co\n" {
			continue // white space around it is taken off
		}
		if got, err := text.Email(given); !errors.Is(err, text.ErrEmail) {
			t.Errorf("%.40q: accepted as %q", given, got)
		}
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	for _, given := range []string{
		"https://example.com/a.png", "https://example.com:8443/a?b=c#d", "https://192.0.2.1/x", "https://[2001:db8::1]/x", "https://a-b.example.co.uk/%20",
	} {
		if got, err := text.URL(given, 100); got != given || err != nil {
			t.Errorf("%q: %q, %v", given, got, err)
		}
	}
	for _, given := range []string{
		"", "example.com", "http://example.com/", "https://", `https://"onerror=alert(1)`, "https://a<b>.com/", "https://*/", "https://a.example:99999/",
		"https://a.example:0/", "https://a.example:/", "https://a.example/a b", "https://u:p@a.example/", "https:a.example", "https://a.example/\x00",
		"https://a.example/é", "javascript:alert(1)", "https://localhost/", "https://a..b/",
		"https://a.example/?q=%zz", "https://a.example/%", "https://a.example/#a#b", "https://a.example/[x]", "https://%61.example/",
		"https://[fe80::1%25eth0]/", "https://[::1/", "https://xn--a.example/", "https://a.example\\b/", "https://a.example:8x/", "https://a.example/" + strings.Repeat("x", 100),
	} {
		if got, err := text.URL(given, 100); err == nil {
			t.Errorf("%q: accepted as %q", given, got)
		}
	}
}

func FuzzEmail(f *testing.F) {
	f.Add("Ada@Example.com")
	f.Fuzz(func(t *testing.T, given string) {
		got, err := text.Email(given)
		if again, errAgain := text.Email(got); err == nil && (errAgain != nil || again != got) {
			t.Errorf("%q becomes %q becomes %q", given, got, again)
		}
	})
}

func FuzzLine(f *testing.F) {
	f.Add("Ada")
	f.Fuzz(func(t *testing.T, given string) {
		got, err := text.Line(given, 50)
		if again, errAgain := text.Line(got, 50); err == nil && (errAgain != nil || again != got) {
			t.Errorf("%q becomes %q becomes %q", given, got, again)
		}
	})
}

func FuzzURL(f *testing.F) {
	f.Add("https://example.com:8443/a?b=c#d")
	f.Add("https://[2001:db8::1]/%20")
	f.Fuzz(func(t *testing.T, given string) {
		got, err := text.URL(given, 200)
		if err != nil {
			return
		}
		u, err := url.Parse(got)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.ContainsAny(got, " <>\"\\`") {
			t.Errorf("accepted %q, %v", got, err)
		}
	})
}

func ExampleEmail() {
	fmt.Println(text.Email(" Ada@Example.com "))
	// Output: ada@example.com <nil>
}
