package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// hosts decides at which hosts a registered instance may be: an entry in Redis must not direct calls, with the
// caller's token, to a host outside of the system.
type hosts struct {
	networks []netip.Prefix
	suffixes []string // with their leading dot
}

var (
	// A name that begins with a digit could be an address in a notation that resolvers accept, such as 134744072.
	singleLabel = regexp.MustCompile(`^[a-z]([a-z0-9_-]*[a-z0-9])?$`)
	hostSuffix  = regexp.MustCompile(`^(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
)

// parseHosts returns the hosts of a list of CIDRs and host suffixes; the error names all wrong items.
func parseHosts(list []string) (h hosts, err error) {
	var wrong []string
	for _, item := range list {
		item = strings.ToLower(strings.TrimSpace(item))
		network, err := netip.ParsePrefix(item)
		switch {
		case err == nil:
			h.networks = append(h.networks, network.Masked())
		case hostSuffix.MatchString(item):
			h.suffixes = append(h.suffixes, item)
		default:
			wrong = append(wrong, shorten(item))
		}
	}
	if len(wrong) > 0 {
		err = fmt.Errorf("%q: neither a network such as 10.0.0.0/8 nor a host suffix such as .internal", wrong)
	}
	return h, err
}

// check returns an error if a registered instance must not be at host.
func (h hosts) check(host string) error {
	if !h.allow(strings.ToLower(host)) {
		return fmt.Errorf("host %q is outside of REGISTRY_ALLOWED", shorten(host))
	}
	return nil
}

// checkURL returns an error if a registered instance must not be at rawURL.
func (h hosts) checkURL(rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return errors.New("not a URL")
	}
	return h.check(u.Hostname())
}

func (h hosts) allow(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		if len(h.networks)+len(h.suffixes) == 0 {
			return (addr.IsPrivate() || addr.IsLoopback()) && addr.Zone() == ""
		}
		for _, network := range h.networks {
			if network.Contains(addr) {
				return true
			}
		}
		return false
	}
	for _, suffix := range h.suffixes {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return singleLabel.MatchString(host)
}

func shorten(text string) string {
	if len(text) > 64 {
		return text[:64] + "…"
	}
	return text
}
