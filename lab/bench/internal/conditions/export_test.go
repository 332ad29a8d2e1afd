package conditions

// ParseProcess returns name, parent and ticks of a line of /proc/<pid>/stat.
func ParseProcess(stat string) (name string, parent int, ticks int64, ok bool) {
	p, ok := parseProcess(stat)
	return p.name, p.parent, p.ticks, ok
}

// ParseMachine returns busy, stolen and all ticks of the first line of /proc/stat.
func ParseMachine(line string) (busy, stolen, all int64) {
	m := parseMachine(line)
	return m.busy, m.stolen, m.all
}
