package resilience

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// Ghosts listen where instances were, break every connection without an answer,
// and count the calls among them.
type Ghosts struct {
	calls     atomic.Int64
	listeners []net.Listener
	done      sync.WaitGroup
}

// Haunt takes the addresses of instances that have ended.
func Haunt(instances []Part) (*Ghosts, error) {
	g := &Ghosts{}
	for _, p := range instances {
		l, err := net.Listen("tcp", p.Host())
		if err != nil {
			return nil, errors.Join(err, g.Close())
		}
		g.listeners = append(g.listeners, l)
		g.done.Go(func() { g.haunt(l) })
	}
	return g, nil
}

// Calls is how many requests came that ask for a user.
func (g *Ghosts) Calls() int { return int(g.calls.Load()) }

// Close returns the addresses back.
func (g *Ghosts) Close() error {
	var err error
	for _, l := range g.listeners {
		err = errors.Join(err, l.Close())
	}
	g.done.Wait()
	return err
}

func (g *Ghosts) haunt(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		g.done.Go(func() {
			defer conn.Close()
			line, _ := bufio.NewReader(conn).ReadString('\n')
			if strings.HasPrefix(line, "GET /users/") {
				g.calls.Add(1)
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
		})
	}
}
