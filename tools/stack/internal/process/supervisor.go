// Package process starts programs that do not outlive the one that started
// them, not even when that one is ended by SIGKILL.
//
// Two mechanisms see to that. On Linux the kernel signals a program when the
// thread that started it dies (PR_SET_PDEATHSIG). Everywhere a reaper, a child
// in a separate session, reads a pipe from the starter; when the pipe ends it
// kills what is left and runs the commands it was sent.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Supervisor starts programs and ends them when this process dies. It is safe for
// concurrent use. Close it last, when everything it started has ended.
type Supervisor struct {
	starts chan func()
	ended  sync.WaitGroup
	reaper *exec.Cmd

	mu     sync.Mutex
	pipe   io.WriteCloser
	orders *json.Encoder
}

// order is one line from the supervisor to its reaper.
type order struct {
	Do     string         `json:"do"` // watch, ended, run, cancel
	Pid    int            `json:"pid,omitempty"`
	Signal syscall.Signal `json:"signal,omitempty"`
	Argv   []string       `json:"argv,omitempty"`
}

// NewSupervisor starts the reaper: this program again, whose main function calls
// [ReapIfReaper]. The reaper keeps lock, which may be nil, open until it has done its
// work: another process that takes the lock finds nothing running.
func NewSupervisor(lock *os.File) (*Supervisor, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, reaperArgument)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if lock != nil {
		cmd.ExtraFiles = []*os.File{lock}
	}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the reaper: %w", err)
	}
	s := &Supervisor{starts: make(chan func()), reaper: cmd, pipe: pipe, orders: json.NewEncoder(pipe)}
	s.ended.Go(s.startFromOneThread)
	return s, nil
}

// startFromOneThread runs every start on one thread that lives as long as the
// supervisor: the kernel's death signal follows the thread, not the process.
func (s *Supervisor) startFromOneThread() {
	runtime.LockOSThread()
	for start := range s.starts {
		start()
	}
}

// RunOnExit runs a command if this process dies, or when the supervisor is closed.
func (s *Supervisor) RunOnExit(argv ...string) { s.order(order{Do: "run", Argv: argv}) }

// CancelRun cancels [Supervisor.RunOnExit].
func (s *Supervisor) CancelRun(argv ...string) { s.order(order{Do: "cancel", Argv: argv}) }

// order writes one line. Without a reaper, which may have been killed, the kernel's
// signal is left.
func (s *Supervisor) order(o order) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.orders.Encode(o)
}

// Close ends the reaper, which then runs the commands that were not canceled, and
// waits for it.
func (s *Supervisor) Close() error {
	close(s.starts)
	s.ended.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.pipe.Close(), s.reaper.Wait())
}

// Start starts a program as the leader of a new process group, so that
// a Ctrl-C on the terminal reaches only the starter. The program gets the signal death
// when this process dies.
func (s *Supervisor) Start(cmd *exec.Cmd, death syscall.Signal) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	dieWithStarter(cmd.SysProcAttr, death)
	cmd.WaitDelay = time.Second

	started := make(chan error)
	s.starts <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, Pid: cmd.Process.Pid, Started: time.Now(), done: make(chan struct{})}
	s.order(order{Do: "watch", Pid: p.Pid, Signal: death})
	s.ended.Go(func() {
		p.err = cmd.Wait()
		s.order(order{Do: "ended", Pid: p.Pid})
		close(p.done)
	})
	return p, nil
}

// Run starts a program and waits for it. When ctx ends first it sends SIGTERM, and
// SIGKILL after 10 s.
func (s *Supervisor) Run(ctx context.Context, cmd *exec.Cmd) error {
	p, err := s.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.Stop(syscall.SIGTERM, 10*time.Second)
		return ctx.Err()
	}
}
