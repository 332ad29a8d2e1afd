package conditions

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// process is what /proc tells of a process; times are in ticks.
type process struct {
	name   string
	parent int
	ticks  int64
}

// processes reads all of /proc. It gives nothing where there is no /proc.
func processes() map[int]process {
	all := map[int]process{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if p, ok := parseProcess(string(text)); ok {
			all[pid] = p
		}
	}
	return all
}

// tick is the unit of times in /proc: USER_HZ is 100 on every architecture that Go
// knows.
const tick = 10 * time.Millisecond

// CPU is the time that processors have spent on the process pid so far, in its own
// code and in the kernel for it. It is not ok where /proc does not tell.
func CPU(pid int) (spent time.Duration, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	p, ok := parseProcess(string(text))
	return time.Duration(p.ticks) * tick, ok
}

// parseProcess reads /proc/<pid>/stat, proc_pid_stat(5). The name stands in
// parentheses and may hold any character, those included.
func parseProcess(stat string) (process, bool) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return process{}, false
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 13 {
		return process{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	user, errUser := strconv.ParseInt(fields[11], 10, 64)
	system, errSystem := strconv.ParseInt(fields[12], 10, 64)
	if err != nil || errUser != nil || errSystem != nil {
		return process{}, false
	}
	return process{stat[open+1 : end], parent, user + system}, true
}

// machineTicks is what all processors together did: busy, and the time that a
// hypervisor gave to others, both in ticks, and the count of all ticks.
type machineTicks struct{ busy, stolen, all int64 }

// readMachine reads the first line of /proc/stat, proc_stat(5).
func readMachine() machineTicks {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	return parseMachine(line)
}

func parseMachine(line string) machineTicks {
	var m machineTicks
	for i, field := range strings.Fields(line) {
		n, err := strconv.ParseInt(field, 10, 64)
		switch {
		case err != nil || i > 8: // "cpu"; guests count as user time already
			continue
		case i == 8:
			m.stolen = n
		case i != 4 && i != 5: // idle, waiting for a disk
			m.busy += n
		}
		m.all += n
	}
	return m
}

// load is the load average of the last minute, as /proc/loadavg has it.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
