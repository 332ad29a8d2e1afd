package process

// ParseMemory reads the text of smaps_rollup.
func ParseMemory(rollup string) Memory { return parseMemory(rollup) }
