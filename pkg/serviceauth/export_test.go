package serviceauth

import "github.com/go-troika/troika/pkg/jws"

// Forget empties the cache of verified tokens.
func (v *Verifier) Forget() { v.cache = jws.NewCache[identity](maxCached) }
