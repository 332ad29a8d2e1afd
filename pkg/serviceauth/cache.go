package serviceauth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/google/uuid"
)

// maxCached is far above the number of callers times their instances.
const maxCached = 1000

// tokenCache holds genuine tokens until they expire: a caller sends the same one for most of
// an hour, and verifying it costs twenty times the look-up, a fifth of a small request.
// Strangers can put nothing in. Its keys are digests, so that the time of a look-up does not
// depend on how much of a guessed token is right.
type tokenCache struct {
	mu     sync.RWMutex
	tokens map[digest]verified
}

type digest [sha256.Size]byte

type verified struct {
	service string
	user    uuid.UUID
	expires time.Time
}

func (c *tokenCache) find(d digest) (v verified, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok = c.tokens[d]
	return v, ok && time.Now().Before(v.expires)
}

func (c *tokenCache) add(d digest, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil || len(c.tokens) >= maxCached {
		c.tokens = map[digest]verified{}
	}
	c.tokens[d] = v
}
