package registry_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/go-troika/troika/pkg/registry"
	"github.com/go-troika/troika/pkg/testkit"
)

// nameServer is a DNS server of one host with changing addresses.
type nameServer struct {
	conn net.PacketConn

	mu     sync.Mutex
	hosts  [][4]byte
	fails  bool
	asking map[net.Conn]bool // nil once closed
}

func newNameServer(t *testing.T, hosts ...[4]byte) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, hosts: hosts, asking: make(map[net.Conn]bool)}
	done := make(chan struct{})
	go func() { defer close(done); s.serve() }()
	t.Cleanup(func() { s.close(); <-done })
	return s
}

// close ends the look-ups under way as well: net.Resolver leaves them waiting
// for an answer for 5 s after its caller has gone.
func (s *nameServer) close() {
	s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.asking {
		conn.Close()
	}
	s.asking = nil
}

func (s *nameServer) set(fails bool, hosts ...[4]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails, s.hosts = fails, hosts
}

func (s *nameServer) serve() {
	buf := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buf[:n]) != nil || len(query.Questions) == 0 {
			continue
		}
		if packed, err := s.answer(query); err == nil {
			_, _ = s.conn.WriteTo(packed, from)
		}
	}
}

func (s *nameServer) answer(query dnsmessage.Message) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: query.ID, Response: true}, Questions: query.Questions}
	if s.fails {
		reply.RCode = dnsmessage.RCodeServerFailure
	}
	if q := query.Questions[0]; q.Type == dnsmessage.TypeA && !s.fails {
		for _, host := range s.hosts {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: host},
			})
		}
	}
	return reply.Pack()
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", s.conn.LocalAddr().String())
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.asking == nil {
			conn.Close()
			return nil, net.ErrClosed
		}
		s.asking[conn] = true
		return conn, nil
	}}
}

func TestEveryAddressIsAnInstance(t *testing.T) {
	t.Parallel()
	dns := newNameServer(t, [4]byte{127, 0, 0, 1}, [4]byte{127, 0, 0, 2})
	r := newRegistry(t, registry.Config{
		Kind: registry.KindDNS, URLs: map[string]string{user: "http://users.test.:9/api"},
	}, registry.Deps{DNS: dns.resolver()})
	registry.ShortenIntervals(r)
	if url, err := r.GetService(user); url != "http://users.test.:9/api" || err != nil {
		t.Errorf("before the first look-up: %q, %v", url, err)
	}
	testkit.Run(t, r.Run)
	found := func(want ...string) func() bool {
		return func() bool {
			var got []string
			for _, i := range r.Instances(user) {
				if i.Listed && !i.Standby {
					got = append(got, i.URL)
				}
			}
			return slices.Equal(got, want)
		}
	}
	const one, two, three = "http://127.0.0.1:9/api", "http://127.0.0.2:9/api", "http://127.0.0.3:9/api"
	eventually(t, "both addresses are found", found(one, two))
	dns.set(false, [4]byte{127, 0, 0, 2}, [4]byte{127, 0, 0, 3})
	eventually(t, "the change is followed", found(two, three))
	eventually(t, "what neither is listed nor answers is forgotten", func() bool { return !slices.Contains(urls(r), one) })
	dns.set(true)
	throughout(t, 100*time.Millisecond, "an error changes nothing", found(two, three))
	dns.set(false)
	throughout(t, 100*time.Millisecond, "an empty answer changes nothing", found(two, three))
}

func TestAddressesOfBothFamilies(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, registry.Config{
		Kind: registry.KindDNS, URLs: map[string]string{user: "http://127.0.0.1:9,http://[::1]:9,http://127.0.0.2"},
	}, registry.Deps{})
	testkit.Run(t, r.Run)
	want := []string{"http://127.0.0.1:9", "http://127.0.0.2", "http://[::1]:9"}
	eventually(t, "literal addresses stand for themselves", func() bool { return slices.Equal(urls(r), want) })
}
