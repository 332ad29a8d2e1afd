package serviceauth

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxMemo is far above the number of callers times their instances.
const maxMemo = 1000

// memo remembers genuine tokens until they expire, because a caller sends the same one
// for most of an hour and checking it anew costs more than many a query. Strangers can
// put nothing in. Its keys are digests: looking one up tells nobody, by its timing, how
// close a guess came.
type memo struct {
	mu      sync.RWMutex
	genuine map[digest]verified
}

type digest [sha256.Size]byte

type verified struct {
	service string
	expires time.Time
}

func (m *memo) find(d digest) (service string, ok bool) {
	m.mu.RLock()
	v, ok := m.genuine[d]
	m.mu.RUnlock()
	return v.service, ok && time.Now().Before(v.expires)
}

func (m *memo) add(d digest, v verified) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.genuine == nil || len(m.genuine) >= maxMemo {
		m.genuine = map[digest]verified{}
	}
	m.genuine[d] = v
}
