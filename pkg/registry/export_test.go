package registry

// The parsers of foreign input, for the fuzz targets.
var NamedService = namedService

// ParseEntries returns how many live and withdrawn instances a reply of Redis names.
func ParseEntries(service string, flat []string) (live, withdrawn int) {
	l := parseEntries(service, flat)
	return len(l.live), len(l.withdrawn)
}
