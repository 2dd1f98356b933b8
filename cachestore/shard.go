package cachestore

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/updateage/session"
)

// shards is the number of shards.
const shards = 256

// shard holds the records whose routing tags fall into it. All records of a
// user have one tag: what is held of a user is found in one shard.
type shard struct {
	mu      sync.RWMutex
	records map[string]entry  // guarded by mu
	marks   map[string]uint64 // guarded by mu; of loads that are under way
	last    uint64            // guarded by mu; the last mark left

	hits atomic.Uint64 // here, because a hit writes to this cache line anyway
	_    [8]byte       // to a cache line of 64 bytes
}

// entry is a record that may be served before the clock shows until.
type entry struct {
	record *session.Record
	until  time.Duration
}

// shardOf returns the shard of an ID, or of a routing tag.
func (c *cache) shardOf(id string) *shard {
	if len(id) < 2 {
		return &c.shards[0]
	}
	h := uint32(id[0]) | uint32(id[1])<<8
	// Fibonacci hashing, which gives every shard 12 to 21 of the 4,096 tags.
	return &c.shards[h*0x9e3779b1>>24]
}

// get returns the record of the ID, nil if there is none young enough.
func (sh *shard) get(id string, now time.Duration) *session.Record {
	sh.mu.RLock()
	e := sh.records[id]
	sh.mu.RUnlock()
	if now >= e.until {
		return nil
	}
	sh.hits.Add(1)
	return e.record
}

// begin leaves a mark for a load that begins now, or returns 0 if the feed is
// not healthy. Loads of one ID share a mark: it was left before any of them.
func (sh *shard) begin(id string, healthy *atomic.Bool) (mark uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !healthy.Load() {
		return 0
	}
	if mark = sh.marks[id]; mark != 0 {
		return mark
	}
	if sh.marks == nil {
		sh.marks = make(map[string]uint64)
	}
	sh.last++ // never used twice: a mark that is back is not the same
	sh.marks[id] = sh.last
	return sh.last
}

// end takes the mark away and keeps the entry, unless somebody else has taken
// the mark away. It says whether there is a record more than before.
func (sh *shard) end(id string, mark uint64, e entry) (added bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.marks[id] != mark {
		return false
	}
	delete(sh.marks, id)
	if e.record == nil {
		return false
	}
	if sh.records == nil {
		sh.records = make(map[string]entry)
	}
	before := len(sh.records)
	sh.records[e.record.ID] = e
	return len(sh.records) > before
}

// drop removes the record of the ID and the mark of its loads, and returns how
// many records that were.
func (sh *shard) drop(id string) int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	before := len(sh.records)
	delete(sh.marks, id)
	delete(sh.records, id)
	return before - len(sh.records)
}

// dropIf removes the records that match, and all marks: what is being loaded
// might match.
func (sh *shard) dropIf(match func(*session.Record) bool) int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	before := len(sh.records)
	clear(sh.marks)
	for id, e := range sh.records {
		if match(e.record) {
			delete(sh.records, id)
		}
	}
	return before - len(sh.records)
}

// dropAll removes all records and marks.
func (sh *shard) dropAll() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	before := len(sh.records)
	sh.records, sh.marks = nil, nil
	return before
}
