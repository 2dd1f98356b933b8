package cachestore

import "time"

// A record that comes in pays for those that go: it looks at a few records of
// the next shard, drops what is too old to be served, and, when the cache is
// full, the oldest of them. So the cache shrinks to what is in use, without a
// goroutine and without a list that every hit would have to lock. Age is a fair
// measure here: the oldest would be the first to be loaded again anyway.

// looks is how many records are looked at.
const looks = 8

// makeRoom drops records until there are no more than may be, and a few that
// are too old in any case.
func (c *cache) makeRoom(now time.Duration) {
	for range shards { // with few records most shards are empty
		over := c.size.Load() > c.maxRecords
		if n := c.shards[c.cursor.Add(1)%shards].evict(now, over); n > 0 {
			c.size.Add(int64(-n))
			c.evicted.Add(uint64(n))
		}
		if c.size.Load() <= c.maxRecords {
			return
		}
	}
}

// evict looks at some of the shard's records, drops those that are too old and,
// if the cache is over its size, at least one. It returns how many.
func (sh *shard) evict(now time.Duration, over bool) int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	before, looked := len(sh.records), 0
	var oldest entry
	for id, e := range sh.records { // begins anywhere
		if oldest.record == nil || e.until < oldest.until {
			oldest = e
		}
		if e.until <= now {
			delete(sh.records, id)
		}
		if looked++; looked == looks {
			break
		}
	}
	if over && oldest.record != nil {
		delete(sh.records, oldest.record.ID)
	}
	return before - len(sh.records)
}
