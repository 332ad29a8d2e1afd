package machine

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Free ports come from below the range that systems take the ports of outgoing
// connections from (32768 upwards on Linux, 49152 elsewhere): a port found free
// is still free when the server binds it.
const lowestFree, aboveFree = 20000, 32000

// Ports returns no port twice. Its zero value is ready; it is safe for
// concurrent use.
type Ports struct {
	mu    sync.Mutex
	given map[int]bool
}

// Take returns the wanted port, or a free one if that is busy or 0.
func (p *Ports) Take(wanted int) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.given == nil {
		p.given = map[int]bool{}
	}
	for range 1000 {
		if wanted > 0 && !p.given[wanted] && IsFree(wanted) {
			p.given[wanted] = true
			return wanted, nil
		}
		wanted = lowestFree + rand.IntN(aboveFree-lowestFree)
	}
	return 0, errors.New("no free port found")
}

// IsFree reports whether a server could listen on port now. It tries both ways of
// listening: on some systems one does not exclude the other.
func IsFree(port int) bool {
	for _, host := range []string{"", "127.0.0.1"} {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
