package redisstore

import (
	"strings"
	"time"

	"github.com/updateage/session"
)

// A key is prefix:{tag}:kind:name. A cluster takes what stands between the first
// braces for the slot, so that the sessions of a user and his index, which have
// his tag, are on one server and can be changed in one step. Nothing that a user
// or visitor chooses comes before the braces.
const (
	idLen  = 24
	tagLen = 2
)

// slot returns what the keys with a tag begin with.
func (s *Store) slot(tag string) string { return s.prefix + tag + "}:" }

// sessionKey returns the key of a session. The ID is a valid one.
func (s *Store) sessionKey(id string) string {
	return s.prefix + id[:tagLen] + "}:s:" + id // in one piece: every lookup makes one
}

// indexKey returns the key of the index of a user.
func (s *Store) indexKey(userID string) string {
	return s.slot(session.RoutingTag(userID)) + "u:" + userID
}

// memberKeys returns the keys of the sessions in the index of a user, behind
// others. They get his tag: whatever it is that stands in the index, its key is
// in the same slot.
func (s *Store) memberKeys(userID string, ids []string, first ...string) []string {
	slot := s.slot(session.RoutingTag(userID))
	keys := make([]string, 0, len(first)+len(ids))
	keys = append(keys, first...)
	for _, id := range ids {
		keys = append(keys, slot+"s:"+id)
	}
	return keys
}

// keysOf returns the keys of a record: of the session, and of the index unless
// it is nobody's.
func (s *Store) keysOf(r *session.Record) []string {
	if r.UserID == "" {
		return []string{s.sessionKey(r.ID)}
	}
	return []string{s.sessionKey(r.ID), s.indexKey(r.UserID)}
}

// routed says whether the ID begins with the tag of its user, as it has to for
// both of their keys to be in one slot.
func routed(r *session.Record) bool {
	return r.UserID == "" || r.ID[:tagLen] == session.RoutingTag(r.UserID)
}

// validID says whether a session can have this ID. Any other is not looked up:
// it comes from outside, and might make the key of something else.
func validID(id string) bool {
	if len(id) != idLen {
		return false
	}
	var other byte
	for i := range len(id) {
		other |= notInID[id[i]]
	}
	return other == 0
}

// notInID is 1 for every byte that is in no ID. It never changes. IDs are random:
// branching on their characters would be guessed wrong every other time.
var notInID = func() (t [256]byte) {
	for c := range t {
		if !strings.Contains("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", string(rune(c))) {
			t[c] = 1
		}
	}
	return t
}()

// ttl returns the milliseconds a record has left, rounded up, by the clock that
// its expiry was made with: the server's may differ. It is at least 1, because
// Redis refuses less, and because a key without a time to live would stay for
// ever.
func ttl(r *session.Record) int64 {
	left := time.Until(r.ExpiresAt)
	return max(int64((left+time.Millisecond-1)/time.Millisecond), 1)
}
