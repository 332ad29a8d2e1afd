package servicebench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/prometheus/procfs"

	"github.com/go-troika/troika/e2e/poll"
)

const (
	readyTime = 20 * time.Second
	readyPoll = 2 * time.Millisecond
	stopTime  = 20 * time.Second
)

// Service is a process that serves HTTP.
type Service struct {
	Name    string
	Addr    string // host and port; /readyz there returns 200 when the process is ready
	Admin   string // host and port of the admin server
	Path    string
	Args    []string
	Environ []string
	Log     string // file that takes what the process prints

	// Startup is the time from the start to the first 200 of /readyz.
	Startup time.Duration

	env     string // APP_ENV, which names the database
	process *os.Process
	ended   chan struct{} // closed when the process has ended with err
	err     error
}

// Start starts the process and returns when it is ready.
func (s *Service) Start(ctx context.Context) error {
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.Environ, log, log
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	s.process, s.ended = cmd.Process, make(chan struct{})
	go func() {
		defer close(s.ended)
		s.err = cmd.Wait()
	}()
	if err := s.waitReady(ctx); err != nil {
		return errors.Join(fmt.Errorf("start %s (see %s): %w", s.Name, s.Log, err), s.Stop())
	}
	s.Startup = time.Since(began)
	return nil
}

func (s *Service) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	for {
		err := s.probe(ctx)
		if err == nil {
			return nil
		}
		if s.hasEnded() {
			return fmt.Errorf("it ended: %w", s.err)
		}
		if poll.Sleep(ctx, readyPoll) != nil {
			return fmt.Errorf("not ready: %w", err)
		}
	}
}

func (s *Service) probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Addr+"/readyz", nil)
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

func (s *Service) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Stop ends the process, if it was started, with SIGTERM, or SIGKILL if it takes too
// long. A process that had ended already, or ends badly, is an error.
func (s *Service) Stop() error {
	if s.process == nil {
		return nil
	}
	process := s.process
	s.process = nil
	if s.hasEnded() {
		return fmt.Errorf("%s had ended: %w", s.Name, s.err)
	}
	_ = process.Signal(syscall.SIGTERM) // it may end just now
	timer := time.AfterFunc(stopTime, func() { _ = process.Kill() })
	defer timer.Stop()
	<-s.ended
	if s.err != nil {
		return fmt.Errorf("stop %s: %w", s.Name, s.err)
	}
	return nil
}

// CPU returns the time that processors have spent on the process, in its own code and in
// the kernel for it, to a hundredth of a second.
func (s *Service) CPU() (time.Duration, error) {
	proc, err := procfs.NewProc(s.process.Pid)
	if err != nil {
		return 0, err
	}
	stat, err := proc.Stat()
	return time.Duration(stat.CPUTime() * float64(time.Second)), err
}

// Memory returns the memory of the process in MiB: all pages, those shared with others
// included, and with shared pages divided among the sharers.
func (s *Service) Memory() (resident, proportional float64, err error) {
	proc, err := procfs.NewProc(s.process.Pid)
	if err != nil {
		return 0, 0, err
	}
	rollup, err := proc.ProcSMapsRollup()
	return float64(rollup.Rss) / (1 << 20), float64(rollup.Pss) / (1 << 20), err
}
