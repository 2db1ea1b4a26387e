// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cache keeps the most recently used values up to a number of bytes.
type cache[V any] struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[string, sized[V]]
	bytes int64
	max   int64
}

type sized[V any] struct {
	value V
	bytes int64
}

// entryOverhead is what an entry costs besides its value; it bounds their number.
const entryOverhead = 256

func newCache[V any](maxBytes int64) *cache[V] {
	c := &cache[V]{max: maxBytes}
	// The number of entries is bounded by the bytes; the list wants a number.
	entries := max(1, int(maxBytes/entryOverhead))
	lru, err := simplelru.NewLRU(entries, func(_ string, v sized[V]) { c.bytes -= v.bytes })
	if err != nil {
		panic(err) // only for a size below one
	}
	c.lru = lru
	return c
}

func (c *cache[V]) get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.lru.Get(key)
	return v.value, ok
}

// put keeps a value of the given size, unless it alone would fill the cache.
func (c *cache[V]) put(key string, value V, bytes int64) {
	bytes += entryOverhead + int64(len(key))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(key)
	if bytes > c.max {
		return
	}
	c.bytes += bytes
	c.lru.Add(key, sized[V]{value, bytes})
	for c.bytes > c.max {
		c.lru.RemoveOldest()
	}
}

func (c *cache[V]) remove(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(key)
}
