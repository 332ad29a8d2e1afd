package interleaving

import (
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-troika/troika/pkg/database"
	"github.com/go-troika/troika/pkg/testkit"
)

// side is a handle of the database whose statements wait for their turn.
type side struct {
	db     *database.DB
	armed  atomic.Bool
	asks   chan struct{} // a statement is at the gate
	passes chan struct{} // and may go on
	ended  chan error
	is     state
}

type state int

const (
	waits  state = iota // at the gate
	inside              // at the server, which works or waits for a lock
	over
)

// newSide opens a handle with one connection through a gate.
func newSide(t *testing.T, name string) *side {
	t.Helper()
	s := &side{asks: make(chan struct{}), passes: make(chan struct{}), ended: make(chan error, 1)}
	cfg := testkit.Config(t)
	proxy := testkit.NewProxy(t, net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	proxy.Judge(func([]byte) testkit.Verdict {
		if s.armed.Load() {
			s.asks <- struct{}{}
			<-s.passes
		}
		return testkit.Pass
	})
	cfg.Port, cfg.PoolMax, cfg.PoolIdle = proxy.Port(), 1, time.Hour
	db, err := database.Open(t.Context(), cfg, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s.db = db
	return s
}

// race is two sides whose statements come in a chosen order.
type race struct {
	t     *testing.T
	sides [2]*side
	// locked counts the sessions that wait for a lock.
	locked func() int
}

// start runs f on a side, up to its first statement.
func (r race) start(s *side, f func() error) {
	s.is = inside
	s.armed.Store(true)
	go func() {
		err := f()
		s.armed.Store(false)
		s.ended <- err
	}()
	r.settle()
}

// run has the sides do their work. first begins; at the given statements, counted
// from 1, the turn goes to the other side if it can take it. It returns how many
// statements there were.
func (r race) run(work [2]func() error, first int, switches []int) (n int) {
	r.t.Helper()
	for i, s := range r.sides {
		r.start(s, work[i])
	}
	turn := first
	for deadline := time.Now().Add(20 * time.Second); ; n++ {
		if len(switches) > 0 && switches[0] == n {
			turn, switches = 1-turn, switches[1:]
		}
		if r.sides[turn].is != waits {
			turn = 1 - turn
		}
		s := r.sides[turn]
		switch {
		case s.is == waits:
			s.is = inside
			s.passes <- struct{}{}
		case r.sides[0].is == over && r.sides[1].is == over:
			return n
		case time.Now().After(deadline):
			r.t.Fatal("neither side goes on")
		}
		r.settle()
	}
}

// settle waits until each side is at the gate, has ended, or waits for a lock.
func (r race) settle() {
	for {
		var inServer []*side
		for _, s := range r.sides {
			if s.is == inside {
				inServer = append(inServer, s)
			}
		}
		if len(inServer) == 0 || !r.arrived(inServer) && r.locked() >= len(inServer) {
			return
		}
	}
}

// arrived reports whether one of the sides has come to the gate or to its end,
// after a while in which it may.
func (r race) arrived(sides []*side) bool {
	timer := time.NewTimer(2 * time.Millisecond)
	defer timer.Stop()
	a, b := sides[0], sides[len(sides)-1]
	select {
	case <-a.asks:
		a.is = waits
	case <-b.asks:
		b.is = waits
	case err := <-a.ended:
		r.end(a, err)
	case err := <-b.ended:
		r.end(b, err)
	case <-timer.C:
		return false
	}
	return true
}

func (r race) end(s *side, err error) {
	s.is = over
	if err != nil {
		r.t.Error(err)
	}
}

// orders calls try with every order of statements that has at most most switches,
// until it has tried all.
func orders(most int, try func(first int, switches []int) (n int)) {
	for first := range 2 {
		var more func(switches []int)
		more = func(switches []int) {
			n := try(first, switches)
			if len(switches) == most {
				return
			}
			last := 0
			if len(switches) > 0 {
				last = switches[len(switches)-1]
			}
			for next := last + 1; next < n; next++ {
				more(append(switches[:len(switches):len(switches)], next))
			}
		}
		more(nil)
	}
}
