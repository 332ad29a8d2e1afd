package process

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	readyTime = 20 * time.Second
	readyPoll = 2 * time.Millisecond
	stopTime  = 20 * time.Second
)

// Spec is what to run.
type Spec struct {
	Name    string
	Path    string
	Args    []string
	Environ []string
	URL     string // base; /readyz below it answers 200 when the process is ready
	Log     string // file that takes what the process prints
}

// Process is one that runs. It is safe for concurrent use, but for Stop.
type Process struct {
	// Startup is the time from the start to the first 200 of /readyz.
	Startup time.Duration

	spec Spec
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start runs spec and returns when it is ready.
func Start(ctx context.Context, spec Spec) (*Process, error) {
	log, err := os.OpenFile(spec.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = spec.Environ, log, log, withParent()
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	p := &Process{spec: spec, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	if err := p.untilReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s (see %s): %w", spec.Name, spec.Log, err), p.Stop())
	}
	p.Startup = time.Since(began)
	return p, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

func (p *Process) untilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := probe(ctx, p.spec.URL+"/readyz")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", err)
		case <-p.done:
			return fmt.Errorf("it ended: %w", p.err)
		case <-tick.C:
		}
	}
}

func probe(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Stop asks the process to end and waits for it; one that does not is killed. A
// process that had ended by itself, or badly, is an error.
func (p *Process) Stop() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself: %w", p.spec.Name, p.err)
	default:
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end just now
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("stop %s: %w", p.spec.Name, p.err)
		}
		return nil
	case <-time.After(stopTime):
		_ = p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("stop %s: not within %v", p.spec.Name, stopTime)
	}
}
