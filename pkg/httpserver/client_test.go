package httpserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/go-troika/troika/pkg/httpserver"
)

func TestNetworks(t *testing.T) {
	t.Parallel()
	var got httpserver.Networks
	if err := got.UnmarshalText([]byte("10.0.0.0/8, fd00::/8")); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "10.0.0.1", "10.0.0.0/8,", "10.0.0.0/33", "proxy"} {
		if err := new(httpserver.Networks).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, tc := range map[string]struct {
		proxies   []netip.Prefix
		peer      string
		forwarded []string
		want      string
	}{
		"no proxy is trusted":      {nil, "10.0.0.1:5000", []string{"203.0.113.7"}, "10.0.0.1"},
		"not from the proxy":       {proxies, "198.51.100.9:5000", []string{"203.0.113.7"}, "198.51.100.9"},
		"from the proxy":           {proxies, "10.0.0.1:5000", []string{"203.0.113.7"}, "203.0.113.7"},
		"client's own list":        {proxies, "10.0.0.1:5000", []string{"192.0.2.1, 203.0.113.7"}, "203.0.113.7"},
		"client's own line":        {proxies, "10.0.0.1:5000", []string{"192.0.2.1", "203.0.113.7"}, "203.0.113.7"},
		"two proxies":              {proxies, "10.0.0.1:5000", []string{"203.0.113.7, 10.9.9.9"}, "203.0.113.7"},
		"nothing but proxies":      {proxies, "10.0.0.1:5000", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"no header":                {proxies, "10.0.0.1:5000", nil, "10.0.0.1"},
		"not an address":           {proxies, "10.0.0.1:5000", []string{"203.0.113.7, unknown"}, "10.0.0.1"},
		"IPv6":                     {proxies, "[fd00::1]:5000", []string{"2001:db8::7"}, "2001:db8::7"},
		"IPv4 in IPv6, and a zone": {proxies, "[::ffff:10.0.0.1]:5000", []string{"fe80::1%eth0"}, "fe80::1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, httpserver.Config{TrustedProxies: tc.proxies})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = tc.peer, tc.forwarded
			if got := b.ClientAddr(r).String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
