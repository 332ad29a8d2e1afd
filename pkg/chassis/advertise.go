package chassis

import (
	"net"

	"github.com/go-troika/troika/pkg/env"
	"github.com/go-troika/troika/pkg/registry"
)

// advertised returns the URL of this instance for other services: ADVERTISE_URL, or the
// address that it listens on, or, if that is unspecified, the machine's outbound
// address. It is a configuration error if there is none.
func (c Config) advertised(port string) (string, error) {
	host := c.HTTP.Host
	switch {
	case c.Registry.AdvertiseURL != "":
		return c.Registry.AdvertiseURL, nil
	case net.ParseIP(host).IsUnspecified():
		if host = ownAddress(); host == "" && c.Registry.Kind == registry.KindRedis {
			return "", env.Invalid("ADVERTISE_URL", "is needed: this machine has no route, and so no address that others reach")
		}
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// ownAddress returns the address from which this machine calls others, which in a
// container is the container's; "" if it has no route. Nothing is sent: the destination
// is one of the addresses that RFC 5737 reserves for documentation.
func ownAddress() string {
	conn, err := net.Dial("udp4", "192.0.2.1:9")
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}
