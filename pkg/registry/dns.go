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
	configured map[string][]endpoint
	dns        *net.Resolver
}

func (d dnsResolver) resolve(ctx context.Context, service string) (listing, error) {
	var l listing
	for _, e := range d.configured[service] {
		u, err := url.Parse(e.url)
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
			l.live = append(l.live, endpoint{url: u.String(), health: e.health})
		}
	}
	return l, nil
}
