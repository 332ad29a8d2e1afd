package resilience

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Relay passes TCP connections on to a target and can delay what clients send. It
// is safe for concurrent use.
type Relay struct {
	listener net.Listener
	target   chan string // holds the address once it is known
	delay    atomic.Int64
	open     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// NewRelay listens on a free port. Connections wait until [Relay.Target] is called.
func NewRelay() (*Relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{listener: l, target: make(chan string, 1), conns: map[net.Conn]bool{}}
	r.open.Go(r.accept)
	return r, nil
}

// Addr is where the relay listens.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Target says where to pass connections on to. Call it once.
func (r *Relay) Target(address string) { r.target <- address }

// Delay holds back for d whatever clients send from now on.
func (r *Relay) Delay(d time.Duration) { r.delay.Store(int64(d)) }

// Close ends all connections and waits for their end.
func (r *Relay) Close() error {
	err := r.listener.Close()
	select {
	case r.target <- "": // nobody need wait for it any more
	default:
	}
	r.mu.Lock()
	for c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
	r.mu.Unlock()
	r.open.Wait()
	return err
}

func (r *Relay) accept() {
	for {
		client, err := r.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || !r.keep(client) {
			continue
		}
		r.open.Go(func() { r.pass(client) })
	}
}

// keep notes a connection for Close, or closes it if that was before.
func (r *Relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		_ = c.Close()
		return false
	}
	r.conns[c] = true
	return true
}

func (r *Relay) forget(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	_ = c.Close()
}

// pass joins client and target until either has ended; both then end, as if there
// were no relay.
func (r *Relay) pass(client net.Conn) {
	defer r.forget(client)
	address := <-r.target
	r.target <- address
	server, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil || !r.keep(server) {
		_ = client.(*net.TCPConn).SetLinger(0) // a reset
		return
	}
	defer r.forget(server)
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	r.forward(server, client)
	_ = server.Close()
	back.Wait()
}

// chunk is what came at once, and when it is due.
type chunk struct {
	bytes []byte
	due   time.Time
}

// forward copies with the delay, which adds to the latency and takes nothing from
// the throughput.
func (r *Relay) forward(to, from net.Conn) {
	chunks := make(chan chunk, 1024)
	var writing sync.WaitGroup
	writing.Go(func() {
		for c := range chunks {
			if wait := time.Until(c.due); wait > 0 {
				<-time.After(wait)
			}
			if _, err := to.Write(c.bytes); err != nil {
				_ = from.Close() // ends the reading below
			}
		}
	})
	for {
		buffer := make([]byte, 16<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			chunks <- chunk{buffer[:n], time.Now().Add(time.Duration(r.delay.Load()))}
		}
		if err != nil {
			break
		}
	}
	close(chunks)
	writing.Wait()
}
