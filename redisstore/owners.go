package redisstore

import (
	"strings"
	"sync/atomic"
)

// owners remembers the users of sessions that were lately loaded or created. To
// delete a session takes the key of its user's index, which is not in its ID; a
// sign-out or revocation always loads the session first, so that this spares it
// a round trip. The script that deletes checks it: a wrong one costs time and
// nothing else.
type owners struct {
	slots [1 << ownerBits]atomic.Pointer[owner]
}

const ownerBits = 10 // many more sessions than are loaded while a request runs

type owner struct {
	id   [idLen]byte // not a string: that of a new session is cut out of its token
	user string
}

func (o *owners) slot(id string) *atomic.Pointer[owner] {
	// The end of an ID is random.
	h := uint32(id[idLen-1]) | uint32(id[idLen-2])<<8 | uint32(id[idLen-3])<<16 | uint32(id[idLen-4])<<24
	return &o.slots[h*0x9e3779b1>>(32-ownerBits)] // Fibonacci hashing
}

// note remembers the user of a session.
func (o *owners) note(id, user string) {
	slot := o.slot(id)
	if known := slot.Load(); user == "" || known != nil && string(known.id[:]) == id {
		return
	}
	slot.Store(&owner{id: [idLen]byte([]byte(id)), user: strings.Clone(user)})
}

// of returns the user of a session, empty if it is not known or nobody.
func (o *owners) of(id string) string {
	if known := o.slot(id).Load(); known != nil && string(known.id[:]) == id {
		return known.user
	}
	return ""
}
