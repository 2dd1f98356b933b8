package redisstore

import "sync"

// owners remembers the users of sessions that were lately loaded or created. To
// delete a session takes the key of its user's index, which is not in its ID; a
// sign-out or revocation always loads the session first, so that this spares it
// a round trip. The script that deletes checks it: a wrong one costs time and
// nothing else.
type owners struct {
	slots [1 << ownerBits]owner
}

const (
	ownerBits = 10 // many more sessions than are loaded while a request runs
	ownerLen  = 64 // longer user IDs, of which there are few, are not remembered
)

// owner has its strings in it: every lookup writes one, and would otherwise
// allocate, or keep the record alive that they are cut out of.
type owner struct {
	mu   sync.Mutex // guards what follows
	id   [idLen]byte
	user [ownerLen]byte
	n    int // length of user; 0: the slot is empty
}

func (o *owners) slot(id string) *owner {
	// The end of an ID is random.
	h := uint32(id[idLen-1]) | uint32(id[idLen-2])<<8 | uint32(id[idLen-3])<<16 | uint32(id[idLen-4])<<24
	return &o.slots[h*0x9e3779b1>>(32-ownerBits)] // Fibonacci hashing
}

// note remembers the user of a session.
func (o *owners) note(id, user string) {
	slot := o.slot(id)
	if len(user) > ownerLen || !slot.mu.TryLock() {
		return
	}
	defer slot.mu.Unlock()
	copy(slot.id[:], id)
	slot.n = copy(slot.user[:], user)
}

// of returns the user of a session, empty if it is not known or nobody.
func (o *owners) of(id string) string {
	slot := o.slot(id)
	slot.mu.Lock()
	defer slot.mu.Unlock()
	if slot.n == 0 || string(slot.id[:]) != id {
		return ""
	}
	return string(slot.user[:slot.n])
}
