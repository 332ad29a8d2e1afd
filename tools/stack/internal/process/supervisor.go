// Package process starts programs that do not outlive the one that started
// them, not even when that one is ended by SIGKILL.
//
// Two nets hang under every program. On Linux the kernel signals it when the
// thread that started it dies (PR_SET_PDEATHSIG). Everywhere a reaper, a child
// in a session of its own, reads a pipe from the starter; when the pipe ends it
// kills what is left and removes the directories it was told of.
package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Supervisor starts programs and answers for their end. It is safe for concurrent
// use. Close it last, when everything it started has ended.
type Supervisor struct {
	starts chan func()
	ended  sync.WaitGroup
	reaper *exec.Cmd

	mu   sync.Mutex
	pipe io.WriteCloser
	tell *json.Encoder
}

// order is one line from the supervisor to its reaper.
type order struct {
	Do     string         `json:"do"` // watch, ended, remove, keep, run, forget
	Pid    int            `json:"pid,omitempty"`
	Signal syscall.Signal `json:"signal,omitempty"`
	Path   string         `json:"path,omitempty"`
	Argv   []string       `json:"argv,omitempty"`
}

// NewSupervisor starts the reaper by running argv, a command that calls [Reap] with
// its standard input.
func NewSupervisor(argv ...string) (*Supervisor, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the reaper: %w", err)
	}
	k := &Supervisor{starts: make(chan func()), reaper: cmd, pipe: pipe, tell: json.NewEncoder(pipe)}
	k.ended.Go(k.startFromOneThread)
	return k, nil
}

// startFromOneThread runs every start on one thread that lives as long as the
// supervisor: the kernel's death signal follows the thread, not the process.
func (k *Supervisor) startFromOneThread() {
	runtime.LockOSThread()
	for start := range k.starts {
		start()
	}
}

// RemoveOnExit removes path, with all below it, if this process dies.
func (k *Supervisor) RemoveOnExit(path string) { k.order(order{Do: "remove", Path: path}) }

// CancelRemove cancels [Supervisor.RemoveOnExit].
func (k *Supervisor) CancelRemove(path string) { k.order(order{Do: "keep", Path: path}) }

// RunOnExit runs a command if this process dies.
func (k *Supervisor) RunOnExit(argv ...string) { k.order(order{Do: "run", Argv: argv}) }

// CancelRun cancels [Supervisor.RunOnExit].
func (k *Supervisor) CancelRun(argv ...string) { k.order(order{Do: "forget", Argv: argv}) }

// order writes one line. A reaper that is gone can't be told, and nothing is
// lost by that but the second net.
func (k *Supervisor) order(o order) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.tell.Encode(o)
}

// Close ends the reaper, which then does what is still asked of it, and waits
// for it.
func (k *Supervisor) Close() error {
	close(k.starts)
	k.ended.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	return errors.Join(k.pipe.Close(), k.reaper.Wait())
}

// Spec says what to start.
type Spec struct {
	Path string // a path, or a name looked up in PATH
	Args []string
	Env  []string // nil means the own environment
	Dir  string
	In   io.Reader
	Out  io.Writer // standard output, and standard error unless Err is set
	Err  io.Writer
	User *syscall.Credential // nil means the own user
	// Death is the signal that ends the program when the supervisor dies.
	// Default SIGKILL.
	Death syscall.Signal
}

// Start starts a program as the leader of a process group of its own, so that
// a Ctrl-C on the terminal reaches only the starter.
func (k *Supervisor) Start(s Spec) (*Process, error) {
	if s.Death == 0 {
		s.Death = syscall.SIGKILL
	}
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Env, s.Dir, s.In, s.Out, s.Err
	if s.Err == nil {
		cmd.Stderr = s.Out
	}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.User}
	dieWithStarter(cmd.SysProcAttr, s.Death)

	started := make(chan error)
	k.starts <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, Pid: cmd.Process.Pid, Started: time.Now(), done: make(chan struct{})}
	k.order(order{Do: "watch", Pid: p.Pid, Signal: s.Death})
	k.ended.Go(func() {
		p.err = cmd.Wait()
		k.order(order{Do: "ended", Pid: p.Pid})
		close(p.done)
	})
	return p, nil
}
