package httpserver

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Networks is a comma list of networks in CIDR notation.
type Networks []netip.Prefix

// UnmarshalText implements [encoding.TextUnmarshaler].
func (n *Networks) UnmarshalText(list []byte) error {
	for entry := range strings.SplitSeq(string(list), ",") {
		network, err := netip.ParsePrefix(strings.TrimSpace(entry))
		if err != nil {
			return fmt.Errorf("%.40q is not a network such as 10.0.0.0/8", entry)
		}
		*n = append(*n, network)
	}
	return nil
}

const headerForwardedFor = "X-Forwarded-For"

// ClientAddr returns the address of the client that sent r: that of the connection, or, if
// it comes from one of Config.TrustedProxies, the last address in X-Forwarded-For that is
// not one of these. The address is not valid if the connection has none.
func (s *Server) ClientAddr(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	addr := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values(headerForwardedFor), ","), ",")
	for i := len(hops) - 1; i >= 0 && s.isProxy(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap().WithZone("")
	}
	return addr
}

// Network returns what limits take for one client: its address, or of IPv6 the /64, which is one
// subscriber's.
func Network(client netip.Addr) netip.Prefix {
	bits := client.BitLen()
	if client.Is6() {
		bits = 64
	}
	network, _ := client.Prefix(bits) // fails for an address that is not valid
	return network
}

func (s *Server) isProxy(addr netip.Addr) bool {
	for _, p := range s.proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
