// Package cachestore keeps recently loaded sessions in memory, in front of a
// store that has a [session.Feed]. Most requests then need no network:
//
//	cached, err := cachestore.New(redis, cachestore.Options{})
//	...
//	go cached.Run(ctx)
//	sessions, err := session.New(cached, session.Config{})
//
// Only Load is answered from memory. Lists of a user's sessions and all writes go
// to the store.
//
// # What revocation means
//
// A session that is revoked, signed out or changed through this node is so at
// once on this node. Another node goes on with what it has in memory until the
// feed has told it: the delay is that of the store's feed, see there. Should the
// feed be silent without noticing it, the delay ends with [Options].MaxAge. Who
// cannot accept any delay leaves the cache off.
//
// The same delay holds for whatever else a request reads. A client that changes
// nodes within it finds its session as it was before: a value that was just set
// is missing, and a secret that was just rotated is refused, though its cookie
// stays. Writes lose nothing: the store compares versions, and a node whose
// write conflicts forgets what it held.
//
// # When the feed fails
//
// Until Run has heard that the feed is healthy, and whenever it is not, every
// Load goes to the store, and what was held is dropped: the cache fails safe, at
// the price of speed. Stats tells.
//
// The store must read what was written last. Behind a replica that lags, a
// session could be loaded again after the feed told of its end, and would then
// stay for MaxAge.
package cachestore
