package cachestore

// Stats are counts since the cache was made, and what it holds now.
type Stats struct {
	// Hits is how many Loads were answered from memory, Misses how many had to
	// ask the store, and Bypassed how many did so because the feed was not
	// healthy or the caller was in a transaction.
	Hits, Misses, Bypassed uint64
	// Invalidated is how many records were dropped because they changed or
	// might have, and Evicted how many to make room or for their age.
	Invalidated, Evicted uint64
	// Records is how many records are held.
	Records int
	// Healthy says whether the feed is healthy, and the cache in use.
	Healthy bool
}

func (c *cache) Stats() Stats {
	s := Stats{
		Misses: c.misses.Load(), Bypassed: c.bypassed.Load(),
		Invalidated: c.invalidated.Load(), Evicted: c.evicted.Load(),
		Healthy: c.healthy.Load(),
	}
	for i := range c.shards {
		sh := &c.shards[i]
		s.Hits += sh.hits.Load()
		sh.mu.RLock()
		s.Records += len(sh.records)
		sh.mu.RUnlock()
	}
	return s
}
