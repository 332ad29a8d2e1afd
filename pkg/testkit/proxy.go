package testkit

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Verdict is what a Proxy does with a piece of what a client sends.
type Verdict int

// What a test may decide.
const (
	Pass     Verdict = iota // on to the server
	Cut                     // end the connection; the server does not get it
	CutReply                // on to the server, and end the connection instead of passing the answer
)

// Proxy passes TCP connections on to a server, so that a test can cut or delay them at a
// chosen moment. It is safe for concurrent use.
type Proxy struct {
	ln     net.Listener
	cancel context.CancelFunc
	wg     sync.WaitGroup
	target atomic.Pointer[string]
	delay  atomic.Int64
	mu     sync.Mutex
	judge  func(sent []byte) Verdict
}

// NewProxy starts a proxy to target, as in 127.0.0.1:6379. It ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p, err := StartProxy()
	if err != nil {
		t.Fatal(err)
	}
	p.SetTarget(target)
	t.Cleanup(p.Close)
	return p
}

// StartProxy starts a proxy that may outlive a test, until Close. It ends connections at
// once as long as it has no target.
func StartProxy() (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Proxy{ln: ln, cancel: cancel}
	p.SetTarget("")
	p.wg.Go(func() { p.serve(ctx) })
	return p, nil
}

// Close ends all connections and waits for their end.
func (p *Proxy) Close() {
	p.ln.Close()
	p.cancel()
	p.wg.Wait()
}

// SetTarget sets the server of the connections that clients open from now on.
func (p *Proxy) SetTarget(target string) { p.target.Store(&target) }

// Delay holds back for d every piece that clients send from now on.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Addr is where clients connect to, as in 127.0.0.1:6379.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Port is where clients connect to, on 127.0.0.1.
func (p *Proxy) Port() int { return p.ln.Addr().(*net.TCPAddr).Port }

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

// serve accepts connections until the listener is closed. Those that are open end with ctx.
func (p *Proxy) serve(ctx context.Context) {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(ctx, "tcp", *p.target.Load())
		if err != nil {
			client.Close()
			continue
		}
		end := func() {
			client.Close()
			server.Close()
		}
		context.AfterFunc(ctx, end)
		var mute atomic.Bool // the next answer ends the connection
		p.wg.Go(func() {
			defer end()
			_, _ = io.Copy(filter{server, func(sent []byte) bool {
				time.Sleep(time.Duration(p.delay.Load()))
				verdict := p.verdict(sent)
				if verdict == CutReply {
					mute.Store(true)
				}
				return verdict != Cut
			}}, client)
		})
		p.wg.Go(func() {
			defer end()
			_, _ = io.Copy(filter{client, func([]byte) bool { return !mute.Load() }}, server)
		})
	}
}

// filter writes to another writer until a piece does not pass.
type filter struct {
	to   io.Writer
	pass func([]byte) bool
}

// Write implements [io.Writer].
func (f filter) Write(piece []byte) (int, error) {
	if !f.pass(piece) {
		return 0, errors.New("connection is cut")
	}
	return f.to.Write(piece)
}
