package userauth

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/google/uuid"
)

// maxCached is how many people's tokens are kept, in about a megabyte.
const maxCached = 10_000

// tokenCache holds genuine tokens until they expire: a person sends the same one for ten
// minutes, and verifying it costs forty times the look-up. Its keys are digests, so that the
// time of a look-up does not depend on how much of a guessed token is right.
type tokenCache struct {
	mu     sync.RWMutex
	tokens map[digest]verified
}

type digest [sha256.Size]byte

type verified struct {
	user    uuid.UUID
	expires time.Time
}

func (c *tokenCache) find(d digest) (uuid.UUID, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.tokens[d]
	return v.user, ok && time.Now().Before(v.expires)
}

func (c *tokenCache) add(d digest, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil || len(c.tokens) >= maxCached {
		c.tokens = map[digest]verified{}
	}
	c.tokens[d] = v
}
