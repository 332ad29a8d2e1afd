package process

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

const reaperArgument = "reaper-of-a-stack"

// ReapIfReaper does the work of the reaper and ends the process, if a supervisor
// started it as that; otherwise it returns at once. Call it first in main.
func ReapIfReaper() {
	if len(os.Args) == 2 && os.Args[1] == reaperArgument {
		reap(os.Stdin)
		os.Exit(0)
	}
}

// reap reads the supervisor's orders, and at their end it ends every program that is
// left and runs the commands. It ignores the terminal's signals.
func reap(in io.Reader) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	programs := map[int]syscall.Signal{}
	var commands [][]string
	var o order
	for orders := json.NewDecoder(in); orders.Decode(&o) == nil; o = (order{}) {
		switch o.Do {
		case "watch":
			programs[o.Pid] = o.Signal
		case "ended":
			delete(programs, o.Pid)
		case "run":
			commands = append(commands, o.Argv)
		case "cancel":
			commands = slices.DeleteFunc(commands, func(argv []string) bool { return slices.Equal(argv, o.Argv) })
		}
	}
	endPrograms(programs)
	for _, argv := range commands {
		_ = exec.Command(argv[0], argv[1:]...).Run()
	}
}

// endPrograms sends each program its death signal and kills what has not ended
// within 7 s (Postgres gives its own children 5 s).
func endPrograms(programs map[int]syscall.Signal) {
	left := map[int]bool{}
	processes := readTable()
	for pid, sig := range programs {
		for _, p := range processes.tree(pid) {
			left[p] = true
			_ = syscall.Kill(p, syscall.SIGCONT)
			if sig == syscall.SIGKILL {
				_ = syscall.Kill(p, sig)
			}
		}
		_ = syscall.Kill(-pid, sig)
	}
	if !allGone(left, 7*time.Second) {
		for pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		allGone(left, 3*time.Second)
	}
}

// allGone waits until none of pids runs, and deletes those that ended.
func allGone(pids map[int]bool, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); ; {
		processes := readTable()
		maps.DeleteFunc(pids, func(pid int, _ bool) bool { return !processes.alive(pid) })
		if len(pids) == 0 || time.Now().After(deadline) {
			return len(pids) == 0
		}
		<-time.After(10 * time.Millisecond)
	}
}
