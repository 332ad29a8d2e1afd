package registry

import (
	"context"
	"fmt"
	"net"
	"net/url"
)

// dnsResolver makes an instance of every address of the configured hosts, keeping scheme, port and path. An https
// URL needs certificates that hold the addresses.
type dnsResolver struct {
	urls map[string][]string
	dns  *net.Resolver
}

func (d dnsResolver) resolve(ctx context.Context, service string) (listing, error) {
	var l listing
	for _, raw := range d.urls[service] {
		u, err := url.Parse(raw)
		if err != nil {
			return listing{}, err
		}
		addrs, err := d.dns.LookupNetIP(ctx, "ip", u.Hostname())
		if err != nil {
			return listing{}, fmt.Errorf("look up %s: %w", u.Hostname(), err)
		}
		port := u.Port()
		for _, addr := range addrs {
			if u.Host = addr.Unmap().String(); addr.Unmap().Is6() {
				u.Host = "[" + u.Host + "]"
			}
			if port != "" {
				u.Host += ":" + port
			}
			l.live = append(l.live, endpoint{url: u.String(), health: DefaultHealthEndpoint})
		}
	}
	return l, nil
}
