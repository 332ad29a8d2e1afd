package registry

import "time"

// ShortenIntervals has r look up, beat and expire at a tenth of the usual times. It comes before Run and Announce.
func ShortenIntervals(r *Registry) {
	r.refreshInterval, r.heartbeatInterval, r.ttl = 50*time.Millisecond, 100*time.Millisecond, 600*time.Millisecond
}

// The parsers of foreign input, for the fuzz targets.
var NamedService = namedService

// ParseEntries returns how many live and withdrawn instances a reply of Redis names.
func ParseEntries(service string, flat []string) (live, withdrawn int) {
	l := parseEntries(service, flat, hosts{})
	return len(l.live), len(l.withdrawn)
}
