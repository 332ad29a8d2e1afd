package resilience

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// Blackhole listens where instances were, resets every connection without a response, and
// counts the calls among them.
type Blackhole struct {
	calls     atomic.Int64
	listeners []net.Listener
	done      sync.WaitGroup
}

// ListenSilently takes the addresses of instances that have ended.
func ListenSilently(instances []Part) (*Blackhole, error) {
	b := &Blackhole{}
	for _, p := range instances {
		l, err := net.Listen("tcp", p.Host())
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		b.listeners = append(b.listeners, l)
		b.done.Go(func() { b.serve(l) })
	}
	return b, nil
}

// Calls returns the number of requests for a user.
func (b *Blackhole) Calls() int { return int(b.calls.Load()) }

// Close frees the addresses.
func (b *Blackhole) Close() error {
	var err error
	for _, l := range b.listeners {
		err = errors.Join(err, l.Close())
	}
	b.done.Wait()
	return err
}

func (b *Blackhole) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		b.done.Go(func() {
			defer conn.Close()
			line, _ := bufio.NewReader(conn).ReadString('\n')
			if strings.HasPrefix(line, "GET /users/") {
				b.calls.Add(1)
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
		})
	}
}
