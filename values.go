package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// maxValues is the greatest size of a session's values in bytes, keys and lengths included.
const maxValues = 64 << 10

// valueHead is the length of a value's head: key length (2), data length (4).
const valueHead = 6

// Values are the values of a session in the form every store keeps: for each
// value the length of its key (2 bytes, big endian), the length of its data (4
// bytes), the key, the data. The data is JSON. Keys are unique and in no
// particular order. A string, so that nobody can change it: reading and sharing
// it needs no copy.
//
// Formatting a Values shows its size only.
type Values string

// String shows the size only: values may be secret.
func (v Values) String() string { return fmt.Sprintf("%d bytes of values", len(v)) }

// Format shows String under every verb.
func (v Values) Format(f fmt.State, _ rune) { show(f, v.String()) }

// MarshalText always fails, so that no value gets into a log as JSON by accident
// and no store relies on it: a record is encoded by [Record.AppendBinary].
func (v Values) MarshalText() ([]byte, error) {
	return nil, errors.New("session: values have no text form")
}

// All yields every key and its data. It stops at malformed data.
func (v Values) All() iter.Seq2[string, string] {
	return func(yield func(key, data string) bool) {
		for rest := v; len(rest) > 0; {
			key, data, tail, ok := rest.cut()
			if !ok || !yield(key, data) {
				return
			}
			rest = tail
		}
	}
}

// Get returns the data of a key.
func (v Values) Get(key string) (data string, ok bool) {
	for k, d := range v.All() {
		if k == key {
			return d, true
		}
	}
	return "", false
}

// Apply returns the values with the changes made, later ones last, or
// ErrTooLarge if they would have more than 64 KiB.
func (v Values) Apply(changes []Change) (Values, error) {
	size := v.sizeWith(changes)
	if size > maxValues {
		return v, ErrTooLarge
	}
	var b strings.Builder
	b.Grow(size)
	for k, d := range v.All() {
		if lastChange(changes, k) < 0 {
			appendHead(&b, len(k), len(d))
			b.WriteString(k)
			b.WriteString(d)
		}
	}
	for i, c := range changes {
		if c.Delete || lastChange(changes, c.Key) != i {
			continue
		}
		appendHead(&b, len(c.Key), len(c.Data))
		b.WriteString(c.Key)
		b.Write(c.Data)
	}
	return Values(b.String()), nil
}

// sizeWith returns the length of the values with the changes made.
func (v Values) sizeWith(changes []Change) (size int) {
	for k, d := range v.All() {
		if lastChange(changes, k) < 0 {
			size += valueHead + len(k) + len(d)
		}
	}
	for i, c := range changes {
		if !c.Delete && lastChange(changes, c.Key) == i {
			size += valueHead + len(c.Key) + len(c.Data)
		}
	}
	return size
}

// lastChange returns the index of the last change of key, or -1.
func lastChange(changes []Change, key string) int {
	for i := len(changes) - 1; i >= 0; i-- {
		if changes[i].Key == key {
			return i
		}
	}
	return -1
}

// cut splits off the first value.
func (v Values) cut() (key, data string, rest Values, ok bool) {
	if len(v) < valueHead {
		return "", "", "", false
	}
	keyEnd := valueHead + (int(v[0])<<8 | int(v[1]))
	end := keyEnd + (int(v[2])<<24 | int(v[3])<<16 | int(v[4])<<8 | int(v[5]))
	if end > len(v) || end < keyEnd {
		return "", "", "", false
	}
	return string(v[valueHead:keyEnd]), string(v[keyEnd:end]), v[end:], true
}

// check says whether the values are well formed: lengths that fit, no key twice.
func (v Values) check() bool {
	if len(v) > maxValues {
		return false
	}
	var keys uniqueKeys
	for len(v) > 0 {
		key, _, rest, ok := v.cut()
		if !ok || !keys.add(key) {
			return false
		}
		v = rest
	}
	return true
}

// uniqueKeys are keys that are all different. Most sessions have a few, for which
// a map would cost more than all the rest of a lookup's decoding.
type uniqueKeys struct {
	few  [8]string
	n    int
	many map[string]struct{} // those that few has no room for
}

// add adds a key, unless it is there already.
func (u *uniqueKeys) add(key string) bool {
	for _, known := range u.few[:u.n] {
		if known == key {
			return false
		}
	}
	if u.n < len(u.few) {
		u.few[u.n] = key
		u.n++
		return true
	}
	if _, known := u.many[key]; known {
		return false
	}
	if u.many == nil {
		u.many = make(map[string]struct{})
	}
	u.many[key] = struct{}{}
	return true
}

func appendHead(b *strings.Builder, key, data int) {
	var head [valueHead]byte
	binary.BigEndian.PutUint16(head[:], uint16(key))
	binary.BigEndian.PutUint32(head[2:], uint32(data))
	b.Write(head[:])
}
