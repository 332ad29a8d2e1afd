package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Tree returns pid and all its descendants, parents before children.
func Tree(pid int) []int {
	children := map[int][]int{}
	for child, parent := range parents() {
		children[parent] = append(children[parent], child)
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		slices.Sort(children[tree[i]])
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// Memory returns the resident bytes of pid and its descendants. Pages that a
// descendant shares with others are counted once where the system tells them
// apart (Linux).
func Memory(pid int) int64 {
	var sum int64
	for i, p := range Tree(pid) {
		if field := "VmRSS:"; i == 0 {
			sum += statusKiB(p, field)
		} else {
			sum += statusKiB(p, "RssAnon:")
		}
	}
	return sum << 10
}

// Alive reports whether pid is running; a zombie is not.
func Alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		_, err := os.Stat("/proc/self/stat")
		return err != nil && psField("pid=", pid) > 0
	}
	state, _, _ := parseStat(stat)
	return state != "Z" && state != "X"
}

// parents returns the parent of every process, from /proc or from ps.
func parents() map[int]int {
	table := map[int]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		out, _ := exec.Command("ps", "-Ao", "pid=,ppid=").Output()
		for line := range strings.Lines(string(out)) {
			var pid, parent int
			if n, _ := fmt.Sscan(line, &pid, &parent); n == 2 {
				table[pid] = parent
			}
		}
		return table
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if stat, err := os.ReadFile("/proc/" + e.Name() + "/stat"); err == nil {
			_, table[pid], _ = parseStat(stat)
		}
	}
	return table
}

// parseStat reads the state and the parent from /proc/PID/stat. The name before
// them stands in parentheses and may hold anything, proc(5).
func parseStat(stat []byte) (state string, parent int, err error) {
	_, err = fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &parent)
	return state, parent, err
}

func statusKiB(pid int, field string) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return int64(psField("rss=", pid))
	}
	_, after, _ := strings.Cut(string(status), field)
	var kib int64
	_, _ = fmt.Sscan(after, &kib)
	return kib
}

func psField(field string, pid int) int {
	out, _ := exec.Command("ps", "-o", field, "-p", strconv.Itoa(pid)).Output()
	n, _ := strconv.Atoi(strings.TrimSpace(string(out)))
	return n
}
