package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// cache keeps what belongs to a key, such as the histogram of a label combination. A
// known key costs one map lookup, without lock or allocation; a new one copies the map.
type cache[K comparable, V any] struct {
	limit int
	make  func(K) V
	fold  func(K) K // what a key becomes when the cache is full

	known atomic.Pointer[map[K]V]
	mu    sync.Mutex // held by writers
}

func newCache[K comparable, V any](limit int, create func(K) V, fold func(K) K) *cache[K, V] {
	c := &cache[K, V]{limit: limit, make: create, fold: fold}
	c.known.Store(&map[K]V{})
	return c
}

func (c *cache[K, V]) get(key K) V {
	if v, ok := (*c.known.Load())[key]; ok {
		return v
	}
	return c.add(key)
}

func (c *cache[K, V]) add(key K) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := *c.known.Load()
	if len(known) >= c.limit {
		key = c.fold(key)
	}
	if v, ok := known[key]; ok {
		return v
	}
	v := c.make(key)
	next := maps.Clone(known)
	next[key] = v
	c.known.Store(&next)
	return v
}
