package simulation

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// scheduler runs one task at a time, each as a coroutine, in virtual time.
type scheduler struct {
	random  *rand.Rand
	now     time.Duration
	tasks   []*task
	current *task
	count   int64 // of times that a task was put off
	steps   int64
}

// process is what crashes and freezes as a whole.
type process struct {
	dead   bool
	frozen time.Duration // until then
}

// task is a step that a process repeats.
type task struct {
	process *process
	call    func() // instead of a step: once, and not as a coroutine
	step    func(context.Context) time.Duration
	wake    <-chan struct{}
	ctx     context.Context
	cancel  context.CancelFunc
	resume  func() (struct{}, bool)
	unwind  func()
	yield   func(struct{}) bool
	at      time.Duration
	order   int64 // among tasks of one time
	waits   any   // for what, if it may be woken early
	busy    bool  // in the middle of a step
	over    bool
}

// crashed unwinds a task whose process is dead.
type crashed struct{}

// spawn starts a task; stop ends it after the step in progress.
func (s *scheduler) spawn(p *process, wake <-chan struct{}, step func(context.Context) time.Duration) (stop func()) {
	t := &task{process: p, step: step, wake: wake}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.resume, t.unwind = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		t.run(s)
	})
	s.putOff(t, s.now)
	s.tasks = append(s.tasks, t)
	return func() {
		t.cancel()
		for t.busy && t != s.current && !p.dead {
			s.sleep(p, time.Millisecond)
		}
		t.over = true
	}
}

// after has f called after d.
func (s *scheduler) after(p *process, d time.Duration, f func()) {
	t := &task{process: p, call: f, unwind: func() {}}
	s.putOff(t, s.now+d)
	s.tasks = append(s.tasks, t)
}

func (t *task) run(s *scheduler) {
	defer func() {
		t.over, t.busy = true, false
		if r := recover(); r != nil && r != (crashed{}) {
			panic(fmt.Sprintf("%v\n%s", r, debug.Stack())) // the scheduler's would say nothing
		}
	}()
	for {
		t.busy = true
		wait := t.step(t.ctx)
		t.busy = false
		if t.ctx.Err() != nil {
			return
		}
		s.pause(t, max(wait, 0))
	}
}

// pause lets others run for d at least.
func (s *scheduler) pause(t *task, d time.Duration) {
	s.putOff(t, s.now+d)
	if !t.yield(struct{}{}) || t.process.dead {
		panic(crashed{})
	}
}

func (s *scheduler) putOff(t *task, at time.Duration) {
	s.count++
	t.at, t.order = at, s.count
}

// sleep pauses the running task, which is of process p. Outside of tasks it does
// nothing.
func (s *scheduler) sleep(p *process, d time.Duration) {
	if p.dead {
		panic(crashed{})
	}
	if s.current != nil {
		s.pause(s.current, d)
	}
}

// await pauses the running task until what is notified, for d at most.
func (s *scheduler) await(what any, d time.Duration) {
	t := s.current
	t.waits = what
	s.pause(t, d)
	t.waits = nil
}

func (s *scheduler) notify(what any) {
	for _, t := range s.tasks {
		if t.waits == what {
			t.at = s.now
		}
	}
}

// until runs tasks up to a time.
func (s *scheduler) until(end time.Duration) {
	for {
		t := s.next()
		if t == nil || t.due() > end {
			break
		}
		s.now = max(s.now, t.due())
		s.steps++
		if t.call != nil {
			t.over = true
			t.call()
		} else {
			s.current = t
			t.resume()
			s.current = nil
		}
		s.settle(t.process)
	}
	s.now = end
}

// next returns the task that is due first.
func (s *scheduler) next() (first *task) {
	for _, t := range s.tasks {
		if first == nil || t.due() < first.due() || t.due() == first.due() && t.order < first.order {
			first = t
		}
	}
	return first
}

func (t *task) due() time.Duration { return max(t.at, t.process.frozen) }

// settle removes tasks that are over or dead, and wakes those of p that were poked.
func (s *scheduler) settle(p *process) {
	left := s.tasks[:0]
	for _, t := range s.tasks {
		if t.over || t.process.dead {
			t.unwind()
			continue
		}
		left = append(left, t)
		if t.process != p || t.busy || len(t.wake) == 0 {
			continue
		}
		<-t.wake
		t.at = min(t.at, s.now)
	}
	clear(s.tasks[len(left):])
	s.tasks = left
}

// end unwinds all tasks.
func (s *scheduler) end() {
	for _, t := range s.tasks {
		t.process.dead = true
		t.unwind()
	}
}
