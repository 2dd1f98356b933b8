package redisstore

import (
	"strings"
	"sync/atomic"

	"github.com/updateage/session"
)

// owners remembers the sessions that were lately loaded or created, for their
// users. To delete a session takes the key of its user's index, which is not in its
// ID; a sign-out or revocation always loads the session first, so that this spares
// it a round trip. The script that deletes checks it: a wrong one costs time and
// nothing else.
//
// Every lookup notes what it returns, which is one store of a pointer. Copies,
// under a lock for each, pushed out of the caches what requests need.
type owners struct {
	slots [1 << ownerBits]atomic.Pointer[session.Record]
}

const (
	ownerBits   = 10      // many more sessions than are loaded while a request runs
	ownerValues = 4 << 10 // of larger ones, too much would be kept from the collector
)

func (o *owners) slot(id string) *atomic.Pointer[session.Record] {
	// The end of an ID is random.
	h := uint32(id[idLen-1]) | uint32(id[idLen-2])<<8 | uint32(id[idLen-3])<<16 | uint32(id[idLen-4])<<24
	return &o.slots[h*0x9e3779b1>>(32-ownerBits)] // Fibonacci hashing
}

// note remembers a session that was loaded, until another one takes its slot.
func (o *owners) note(r *session.Record) {
	if r.UserID != "" && len(r.Values) <= ownerValues {
		o.slot(r.ID).Store(r)
	}
}

// created remembers the session of a new record, of which it keeps nothing: that is
// the caller's, who may have cut the user ID out of something larger.
func (o *owners) created(r *session.Record) {
	o.note(&session.Record{ID: strings.Clone(r.ID), UserID: strings.Clone(r.UserID)})
}

// take returns the user of a session, which is about to be deleted, and forgets it.
// It is empty if it is not known or nobody.
func (o *owners) take(id string) (user string) {
	slot := o.slot(id)
	r := slot.Load()
	if r == nil || r.ID != id {
		return ""
	}
	slot.CompareAndSwap(r, nil)
	return r.UserID
}
