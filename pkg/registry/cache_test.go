// Copyright The Countersign Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strconv"
	"testing"
)

func TestCacheKeepsWithinItsBytes(t *testing.T) {
	const limit = 10_000
	c := newCache[int](limit)
	for i := range 100 {
		c.put(strconv.Itoa(i), i, 700)
		if c.bytes > limit {
			t.Fatalf("%d bytes after %d entries", c.bytes, i)
		}
	}
	if _, ok := c.get("0"); ok {
		t.Error("the oldest entry is still there")
	}
	if v, ok := c.get("99"); !ok || v != 99 {
		t.Error("the newest entry is gone")
	}
}

func TestCacheKeepsWhatIsUsed(t *testing.T) {
	c := newCache[int](3 * (entryOverhead + 101))
	for i := range 20 {
		c.put("used", 1, 96)
		c.put(strconv.Itoa(i), i, 96)
		if _, ok := c.get("used"); !ok {
			t.Fatalf("lost after %d entries", i)
		}
	}
}

func TestCacheRefusesWhatAloneWouldFillIt(t *testing.T) {
	c := newCache[int](10_000)
	c.put("a", 1, 100)
	c.put("huge", 2, 1<<40)
	if _, ok := c.get("huge"); ok {
		t.Error("it is kept")
	}
	if _, ok := c.get("a"); !ok {
		t.Error("it drove out another entry")
	}
}

func TestCacheCountsAReplacedEntryOnce(t *testing.T) {
	c := newCache[int](10_000)
	for range 50 {
		c.put("a", 1, 500)
	}
	if want := int64(500 + entryOverhead + 1); c.bytes != want {
		t.Errorf("%d bytes, want %d", c.bytes, want)
	}
	c.remove("a")
	if c.bytes != 0 {
		t.Errorf("%d bytes in an empty cache", c.bytes)
	}
}
