package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-troika/troika/lab/bench/internal/conditions"
)

// CPU is the time that processors have spent on the process, in its own code and
// in the kernel for it, to a hundredth of a second.
func (p *Process) CPU() (time.Duration, error) {
	cpu, ok := conditions.CPU(p.PID())
	if !ok {
		return 0, fmt.Errorf("/proc does not tell the CPU time of %s", p.spec.Name)
	}
	return cpu, nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	Resident     int64 // all pages, those shared with others included
	Proportional int64 // shared pages divided among the sharers
}

// Memory reads what the process holds (proc_pid_smaps(5)).
func (p *Process) Memory() (Memory, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID()))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory of %s: %w", p.spec.Name, err)
	}
	m := parseMemory(string(text))
	if m.Resident == 0 {
		return m, fmt.Errorf("/proc does not tell the memory of %s", p.spec.Name)
	}
	return m, nil
}

func parseMemory(rollup string) Memory {
	var m Memory
	for line := range strings.Lines(rollup) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "Rss:":
			m.Resident = kilobytes << 10
		case "Pss:":
			m.Proportional = kilobytes << 10
		}
	}
	return m
}
