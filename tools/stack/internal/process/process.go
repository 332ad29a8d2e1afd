package process

import (
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// Process is a started program. It is safe for concurrent use.
type Process struct {
	Pid     int
	Started time.Time

	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Outcome returns how the program ended, such as "exit status 1" or
// "signal: killed". Call it after [Process.Done] only.
func (p *Process) Outcome() string { return p.cmd.ProcessState.String() }

// Signal sends sig to the program and its process group.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.Ended() {
		return fmt.Errorf("already ended: %s", p.Outcome())
	}
	return syscall.Kill(-p.Pid, sig)
}

// SignalTree sends sig to the program and every descendant, parents first:
// Postgres starts each of its children in a separate process group.
func (p *Process) SignalTree(sig syscall.Signal) error {
	if p.Ended() {
		return fmt.Errorf("already ended: %s", p.Outcome())
	}
	for _, pid := range Tree(p.Pid) {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// Stop sends sig, waits at most grace for the end, and then kills.
func (p *Process) Stop(sig syscall.Signal, grace time.Duration) {
	_ = p.SignalTree(syscall.SIGCONT) // a paused program would not get sig
	_ = p.Signal(sig)
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.Signal(syscall.SIGKILL)
		<-p.done
	}
}
