package serviceauth

// Forget empties the cache of verified tokens.
func (v *Verifier) Forget() { v.cache.tokens = nil }
