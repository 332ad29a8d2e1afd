package testkit

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
)

// Verdict is what a Proxy does with a piece of what a client sends.
type Verdict int

// What a test may decide.
const (
	Pass     Verdict = iota // on to the server
	Cut                     // end the connection; the server does not get it
	CutReply                // on to the server, and end the connection instead of passing the answer
)

// Proxy passes TCP connections on to a server, so that a test can cut them at
// the moment that it is about. It is safe for concurrent use.
type Proxy struct {
	target string
	ln     net.Listener
	wg     sync.WaitGroup
	mu     sync.Mutex
	judge  func(sent []byte) Verdict
	open   map[net.Conn]bool
	closed bool
}

// NewProxy starts a proxy to target, as in 127.0.0.1:6379. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, ln: ln, open: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Port is where clients connect to, on 127.0.0.1.
func (p *Proxy) Port() int { return p.ln.Addr().(*net.TCPAddr).Port }

// Addr is 127.0.0.1 and the Port.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Judge has judge decide about every piece that clients send from now on, as
// the network delivers it; nil passes all.
func (p *Proxy) Judge(judge func(sent []byte) Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.judge = judge
}

func (p *Proxy) verdict(sent []byte) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.judge == nil {
		return Pass
	}
	return p.judge(sent)
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		l := &link{proxy: p, client: client, server: server}
		p.wg.Go(l.forth)
		p.wg.Go(l.back)
	}
}

// keep notes connections for close, or ends them if it has come already.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.open[c] = true
		if p.closed {
			c.Close()
		}
	}
	return !p.closed
}

func (p *Proxy) close() {
	p.ln.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// link is one client's connection to the server.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	mu             sync.Mutex
	mute           bool // the next answer ends the link
}

// end closes both sides.
func (l *link) end() error {
	l.proxy.mu.Lock()
	defer l.proxy.mu.Unlock()
	delete(l.proxy.open, l.client)
	delete(l.proxy.open, l.server)
	return errors.Join(l.client.Close(), l.server.Close())
}

func (l *link) forth() {
	defer l.end()
	pump(l.client, l.server, func(sent []byte) bool {
		v := l.proxy.verdict(sent)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.mute = l.mute || v == CutReply
		return v != Cut
	})
}

func (l *link) back() {
	defer l.end()
	pump(l.server, l.client, func([]byte) bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return !l.mute
	})
}

// pump copies until either side ends or ok refuses a piece.
func pump(from, to net.Conn, ok func([]byte) bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !ok(buf[:n]) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
