package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-troika/troika/tools/stack/internal/process"
	"github.com/go-troika/troika/tools/stack/internal/world"
)

const (
	pollEvery  = 15 * time.Millisecond
	readyLimit = 60 * time.Second
)

// part is one server of the stack through all its processes: it may be killed
// and started again. The fields above mu never change.
type part struct {
	name, service, version string
	port, adminPort        int
	url                    string
	log                    string
	spec                   process.Spec
	probe                  func(ctx context.Context) error // nil once the server can serve
	stopSignal             syscall.Signal
	restarts               int // tries when it ends before it is ready

	verb sync.Mutex // one verb at a time

	mu     sync.Mutex
	proc   *process.Process
	ready  time.Duration // 0 until ready
	paused bool
	closed bool // stopped for good
}

// start starts the server and waits until it is ready.
func (p *part) start(ctx context.Context, k *process.Supervisor) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	began := time.Now()
	for try := 0; ; try++ {
		proc, err := p.launch(k)
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
		if !errors.Is(err, errEnded) || try >= p.restarts {
			return fmt.Errorf("start %s: %w\n%s", p.name, err, tail(p.log, 15))
		}
		pause(ctx, 20*pollEvery)
	}
}

// launch starts a process that appends to the part's log.
func (p *part) launch(k *process.Supervisor) (*process.Process, error) {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	spec := p.spec
	spec.Out = log
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the stack is stopping")
	}
	proc, err := k.Start(spec)
	if err == nil {
		p.proc, p.ready, p.paused = proc, 0, false
	}
	return proc, err
}

var errEnded = errors.New("ended before it was ready")

func (p *part) awaitReady(ctx context.Context, proc *process.Process) error {
	for {
		err := p.probe(ctx)
		if proc.Ended() {
			return fmt.Errorf("%w: %s", errEnded, proc.Outcome())
		}
		if err == nil {
			return nil
		}
		if pause(ctx, pollEvery); errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		} else if ctx.Err() != nil {
			return fmt.Errorf("not ready after %s: %w", readyLimit, err)
		}
	}
}

// chaos does one verb and waits until it has taken effect.
func (p *part) chaos(ctx context.Context, k *process.Supervisor, verb string) error {
	p.verb.Lock()
	defer p.verb.Unlock()
	proc := p.process()
	running := proc != nil && !proc.Ended()
	if verb == world.Start {
		if running {
			return fmt.Errorf("%s is running", p.name)
		}
		return p.start(ctx, k)
	}
	if !running {
		return fmt.Errorf("%s is not running", p.name)
	}
	switch verb {
	case world.Kill:
		if err := proc.Signal(syscall.SIGKILL); err != nil {
			return err
		}
		<-proc.Done()
		return nil
	case world.Stop:
		proc.Stop(p.stopSignal, stopGrace)
		return nil
	case world.Pause:
		return p.setPaused(true, proc.SignalTree(syscall.SIGSTOP))
	case world.Resume:
		return p.setPaused(false, proc.SignalTree(syscall.SIGCONT))
	default:
		return fmt.Errorf("no verb %q; there are: %s", verb, strings.Join(world.Verbs, ", "))
	}
}

func (p *part) setPaused(paused bool, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = paused && err == nil
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

func (p *part) process() *process.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proc
}

// status is the part as other invocations see it.
func (p *part) status() world.Part {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := world.Part{
		Name: p.name, Service: p.service, State: world.Starting, Detail: p.version,
		Port: p.port, AdminPort: p.adminPort, URL: p.url, ReadyMS: p.ready.Milliseconds(),
	}
	if p.proc == nil {
		return s
	}
	if p.proc.Ended() {
		s.State, s.Detail = world.Exited, p.proc.Outcome()
		return s
	}
	s.PID, s.RSS = p.proc.Pid, process.Memory(p.proc.Pid)
	s.UptimeMS = time.Since(p.proc.Started).Milliseconds()
	if p.ready > 0 {
		s.State = world.Ready
	}
	if p.paused {
		s.State = world.Paused
	}
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
