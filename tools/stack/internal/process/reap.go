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

// Reap is the reaper's whole life: it follows the supervisor's orders from in, and
// when in ends it ends every program that is left, runs the commands and
// removes the paths it was asked to. It ignores the terminal's signals.
func Reap(in io.Reader) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	r := reaper{programs: map[int]syscall.Signal{}}
	for orders := json.NewDecoder(in); ; {
		var o order
		if orders.Decode(&o) != nil {
			break
		}
		r.follow(o)
	}
	r.endPrograms()
	for _, argv := range r.commands {
		_ = exec.Command(argv[0], argv[1:]...).Run()
	}
	for _, path := range r.paths {
		_ = os.RemoveAll(path)
	}
}

type reaper struct {
	programs map[int]syscall.Signal
	paths    []string
	commands [][]string
}

func (r *reaper) follow(o order) {
	switch o.Do {
	case "watch":
		r.programs[o.Pid] = o.Signal
	case "ended":
		delete(r.programs, o.Pid)
	case "remove":
		r.paths = append(r.paths, o.Path)
	case "keep":
		r.paths = slices.DeleteFunc(r.paths, func(p string) bool { return p == o.Path })
	case "run":
		r.commands = append(r.commands, o.Argv)
	case "forget":
		r.commands = slices.DeleteFunc(r.commands, func(a []string) bool { return slices.Equal(a, o.Argv) })
	}
}

// endPrograms sends each program its death signal and kills what has not ended
// within 7 s (Postgres gives its own children 5 s).
func (r *reaper) endPrograms() {
	left := map[int]bool{}
	for pid, sig := range r.programs {
		for _, p := range Tree(pid) {
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

// allGone waits until none of pids runs, and takes those that ended out of it.
func allGone(pids map[int]bool, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); ; {
		maps.DeleteFunc(pids, func(pid int, _ bool) bool { return !Alive(pid) })
		if len(pids) == 0 || time.Now().After(deadline) {
			return len(pids) == 0
		}
		<-time.After(10 * time.Millisecond)
	}
}
