package serviceclient_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/serviceclient"
)

func FuzzProblem(f *testing.F) {
	f.Add([]byte(`{"error":"No such user","code":"user_not_found","requestId":"r"}`))
	f.Add([]byte(`{"error":{"nested":true}}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, text := range serviceclient.ParseProblem(body) {
			if len(text) > 256 {
				t.Errorf("a text of %d bytes", len(text))
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Wed, 21 Oct 2015 07:28:00 GMT")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, value string) {
		if wait := serviceclient.ParseRetryAfter(value, time.Unix(0, 0)); wait < 0 {
			t.Errorf("%q means %v", value, wait)
		}
	})
}

// A request goes exactly where the standard library would send it.
func FuzzTarget(f *testing.F) {
	for _, target := range []string{
		"/", "/users/1", "/users/a%2Fb", "/users/%zz", "/a b", "/ü", "//x", "/a?b=c&d=%20", "/a?", "/a#b", "/a?b#c", "/a\x00", "/a?\n", "/a?b c", "/../a",
		"/a;b", "/:1", "/a?ü", "/a??b", "/*", "/a%2F?x",
	} {
		f.Add(target)
	}
	s := &seen{}
	clients := map[string]*bundle{}
	for _, base := range []string{"http://a:1", "https://b", "http://c:1/base"} {
		clients[base] = setupOver(f, s, serviceclient.Config{Breaker: steady}, base)
	}
	f.Fuzz(func(t *testing.T, target string) {
		for base, b := range clients {
			want, err := url.Parse(base + target)
			if !strings.HasPrefix(target, "/") {
				err = errors.New("not a path")
			}
			s.last = nil
			_, _ = get(t, b, target)
			switch {
			case err != nil && s.last != nil:
				t.Errorf("%q was sent to %v", target, s.last.URL)
			case err == nil && s.last == nil:
				t.Errorf("%q was not sent", target)
			case err == nil && (s.last.URL.RequestURI() != want.RequestURI() || s.last.Host != want.Host || s.last.URL.Host != want.Host || s.last.URL.Scheme != want.Scheme || s.last.URL.Path != want.Path):
				t.Errorf("%q was sent to %v at %s, want %v", target, s.last.URL, s.last.Host, want)
			}
		}
	})
}
