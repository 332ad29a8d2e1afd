package resilience

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// Resetter listens where instances were, resets every connection without a response, and
// counts the calls among them.
type Resetter struct {
	calls     atomic.Int64
	listeners []net.Listener
	done      sync.WaitGroup
}

// ListenAndReset takes the addresses of instances that have ended.
func ListenAndReset(instances []Part) (*Resetter, error) {
	r := &Resetter{}
	for _, p := range instances {
		l, err := net.Listen("tcp", p.Host())
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.listeners = append(r.listeners, l)
		r.done.Go(func() { r.serve(l) })
	}
	return r, nil
}

// Calls returns the number of requests for a user.
func (r *Resetter) Calls() int { return int(r.calls.Load()) }

// Close frees the addresses.
func (r *Resetter) Close() error {
	var err error
	for _, l := range r.listeners {
		err = errors.Join(err, l.Close())
	}
	r.done.Wait()
	return err
}

func (r *Resetter) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		r.done.Go(func() {
			defer conn.Close()
			line, _ := bufio.NewReader(conn).ReadString('\n')
			if strings.HasPrefix(line, "GET /users/") {
				r.calls.Add(1)
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
		})
	}
}
