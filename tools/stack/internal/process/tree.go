package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Tree returns pid and all its descendants, parents before children.
func Tree(pid int) []int { return readTable().tree(pid) }

// Memory returns the resident bytes of pid and its descendants. Memory that a
// descendant shares with others is counted once where the system tells it
// apart (Linux).
func Memory(pid int) int64 {
	var sum int64
	t := readTable()
	for i, p := range t.tree(pid) {
		var size, resident, shared int64
		statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p))
		if err != nil {
			sum += t[p].rss
			continue
		}
		if _, _ = fmt.Sscan(string(statm), &size, &resident, &shared); i > 0 {
			resident -= shared
		}
		sum += resident * int64(os.Getpagesize())
	}
	return sum
}

// Alive reports whether pid is running; a zombie is not.
func Alive(pid int) bool { return readTable().alive(pid) }

// table has every process by its pid.
type table map[int]processInfo

type processInfo struct {
	parent int
	state  string
	rss    int64 // bytes; from ps only
}

func (t table) alive(pid int) bool {
	info, ok := t[pid]
	return ok && !strings.HasPrefix(info.state, "Z") && !strings.HasPrefix(info.state, "X")
}

func (t table) tree(pid int) []int {
	children := map[int][]int{}
	for child, info := range t {
		children[info.parent] = append(children[info.parent], child)
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		slices.Sort(children[tree[i]])
		tree = append(tree, children[tree[i]]...)
	}
	return tree
}

// readTable reads /proc (proc_pid_stat(5)), or runs ps where there is none.
func readTable() table {
	all := table{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// The name before the state stands in parentheses and may hold anything.
		var info processInfo
		_, _ = fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &info.state, &info.parent)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		all[pid] = info
	}
	if len(stats) > 0 {
		return all
	}
	out, _ := exec.Command("ps", "-Ao", "pid=,ppid=,state=,rss=").Output()
	for line := range strings.Lines(string(out)) {
		var pid int
		var info processInfo
		if n, _ := fmt.Sscan(line, &pid, &info.parent, &info.state, &info.rss); n == 4 {
			info.rss <<= 10
			all[pid] = info
		}
	}
	return all
}
