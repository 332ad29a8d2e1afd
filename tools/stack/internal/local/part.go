package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/stack"
)

const (
	pollEvery  = 15 * time.Millisecond
	readyLimit = 60 * time.Second
	stopGrace  = 25 * time.Second // of a service, before it is killed
)

// part is one server of the stack through all its processes: it may be killed
// and started again. The fields above mu never change.
type part struct {
	name, service, version string
	port, adminPort        int
	url                    string
	log                    string
	command                func() *exec.Cmd
	probe                  func(ctx context.Context, pid int) error // nil once the server can serve
	stopSignal             syscall.Signal
	death                  syscall.Signal // ends it when this process dies
	restarts               int            // tries when it ends before it is ready

	verb sync.Mutex // one verb at a time

	mu     sync.Mutex
	proc   *process.Process
	ready  time.Duration // 0 until ready
	paused bool
	closed bool // stopped for good
}

func (p *part) address() string { return fmt.Sprintf("127.0.0.1:%d", p.port) }

// start starts the server and waits until it is ready.
func (p *part) start(ctx context.Context, supervisor *process.Supervisor) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	began := time.Now()
	for try := 0; ; try++ {
		proc, err := p.launch(supervisor)
		if err != nil {
			return fmt.Errorf("start %s: %w", p.name, err)
		}
		err = p.awaitReady(ctx, proc)
		if err == nil {
			p.mu.Lock()
			p.ready = time.Since(began)
			p.mu.Unlock()
			return nil
		}
		if !proc.Ended() || try >= p.restarts {
			return fmt.Errorf("start %s: %w\n%s", p.name, err, tail(p.log, 15))
		}
		pause(ctx, 20*pollEvery)
	}
}

// launch starts a process that appends to the part's log.
func (p *part) launch(supervisor *process.Supervisor) (*process.Process, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = log, log
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the stack is stopping")
	}
	proc, err := supervisor.Start(cmd, p.death)
	if err == nil {
		p.proc, p.ready, p.paused = proc, 0, false
	}
	return proc, err
}

func (p *part) awaitReady(ctx context.Context, proc *process.Process) error {
	for {
		err := p.probe(ctx, proc.Pid)
		switch {
		case proc.Ended():
			return errors.New("ended before it was ready: " + proc.Outcome())
		case err == nil:
			return nil
		case errors.Is(ctx.Err(), context.Canceled):
			return ctx.Err()
		case ctx.Err() != nil:
			return fmt.Errorf("not ready after %s: %w", readyLimit, err)
		}
		pause(ctx, pollEvery)
	}
}

// chaos does one verb and waits until it has taken effect.
func (p *part) chaos(ctx context.Context, supervisor *process.Supervisor, verb string) error {
	p.verb.Lock()
	defer p.verb.Unlock()
	p.mu.Lock()
	proc := p.proc
	p.mu.Unlock()
	running := proc != nil && !proc.Ended()
	if verb == stack.Start {
		if running {
			return fmt.Errorf("%s is running", p.name)
		}
		return p.start(ctx, supervisor)
	}
	if !running {
		return fmt.Errorf("%s is not running", p.name)
	}
	switch verb {
	case stack.Kill:
		err := proc.Signal(syscall.SIGKILL)
		<-proc.Done()
		return err
	case stack.Stop:
		proc.Stop(p.stopSignal, stopGrace)
		return nil
	}
	signal := syscall.SIGCONT
	if verb == stack.Pause {
		signal = syscall.SIGSTOP
	}
	err := proc.SignalTree(signal)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = verb == stack.Pause && err == nil
	return err
}

// stop ends the server for good and waits for it, at most grace before it kills.
func (p *part) stop(grace time.Duration) {
	p.mu.Lock()
	p.closed = true
	proc := p.proc
	p.mu.Unlock()
	if proc != nil && !proc.Ended() {
		proc.Stop(p.stopSignal, grace)
	}
}

func (p *part) status() stack.Part {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := stack.Part{
		Name: p.name, Service: p.service, State: stack.Starting, Detail: p.version,
		Port: p.port, AdminPort: p.adminPort, URL: p.url, ReadyMS: p.ready.Milliseconds(),
	}
	switch {
	case p.proc == nil:
		return s
	case p.proc.Ended():
		s.State, s.Detail = stack.Exited, p.proc.Outcome()
		return s
	case p.paused:
		s.State = stack.Paused
	case p.ready > 0:
		s.State = stack.Ready
	}
	s.PID, s.RSS = p.proc.Pid, process.Memory(p.proc.Pid)
	s.UptimeMS = time.Since(p.proc.Started).Milliseconds()
	return s
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// tail returns the last lines of a file.
func tail(path string, lines int) string {
	text, _ := os.ReadFile(path)
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
