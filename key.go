package session

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// maxKey is the greatest length of a key in bytes.
const maxKey = 1024

// Key names a value of type T in a session:
//
//	const cart session.Key[Cart] = "cart"
//
// A value is stored as JSON, each by itself, so that parallel requests which
// change different keys lose nothing, and a service in another language can read
// it. Two keys of one name are the same value, whatever their types. A name has
// 1 to 1,024 bytes.
type Key[T any] string

// Get returns the value. It is false if there is none, or none that decodes into
// a T; the latter is an EventUnreadableRecord.
func (k Key[T]) Get(s *Session) (T, bool) {
	data, ok := s.get(string(k))
	if !ok {
		var zero T
		return zero, false
	}
	v, err := k.decode(data)
	if err != nil {
		s.unreadable(err)
	}
	return v, err == nil
}

// Set changes the value, to be stored with the response. A nil T is stored as
// null and present. Errors: ErrNoSession, ErrCommitted, ErrSuperseded,
// ErrRevoked, ErrUnavailable, ErrCrossSite, ErrTooLarge if all values together
// exceed 64 KiB, or that v has no JSON; nothing has changed then.
func (k Key[T]) Set(s *Session, v T) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("session: set %q: %w", string(k), err)
	}
	return s.set(Change{Key: string(k), Data: data})
}

// Take returns the value and deletes it, as for a message that is shown once. Of
// parallel requests each may get it. The value is returned also if it could not
// be deleted.
func (k Key[T]) Take(s *Session) (T, bool) {
	v, ok := k.Get(s)
	if ok {
		_ = k.Delete(s) // its error is that of every later change, and the value was asked for
	}
	return v, ok
}

// Delete removes the value, with the errors of Set. It does nothing if there is none.
func (k Key[T]) Delete(s *Session) error {
	return s.set(Change{Key: string(k), Delete: true})
}

// Update replaces the value by what fn makes of it, in the store at once, and
// loses nothing under parallel requests: fn is called again with the new value
// if another request changed it meanwhile. It is meant for counters and carts.
// Where there is no value, fn gets the zero T, which of a map is nil. fn must not
// change the session.
//
// Update, with all calls of fn, has 3 seconds. It also stores the other pending
// changes. It returns fn's error
// unchanged, the errors of Set, or ErrUnreadable for a stored value that does not
// decode into a T: Delete or Set it. After the first byte of the response it works in a session that exists.
func (k Key[T]) Update(ctx context.Context, s *Session, fn func(T) (T, error)) error {
	return s.modify(ctx, string(k), func(data string, ok bool) ([]byte, error) {
		var v T
		var err error
		if ok {
			if v, err = k.decode(data); err != nil {
				s.unreadable(err)
				return nil, err // whoever wrote it may still read it
			}
		}
		if v, err = fn(v); err != nil {
			return nil, err
		}
		encoded, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("session: update %q: %w", string(k), err)
		}
		return encoded, nil
	})
}

// decode does not wrap JSON's error: it quotes the value.
func (k Key[T]) decode(data string) (v T, err error) {
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		var zero T
		return zero, fmt.Errorf("session: value %q does not decode into %T: %w", string(k), zero, ErrUnreadable)
	}
	return v, nil
}

func (s *Session) unreadable(err error) {
	s.mu.Lock()
	defer s.unlock(s.req.Context())
	s.event(Event{Kind: EventUnreadableRecord, SessionID: s.recordID(), Err: err})
}

// get returns the data of a key, with the request's own changes.
func (s *Session) get(key string) (data string, ok bool) {
	if s == nil {
		return "", false
	}
	s.lock()
	defer s.mu.Unlock()
	return s.peek(key)
}

func (s *Session) peek(key string) (data string, ok bool) {
	if i := lastChange(s.changes, key); i >= 0 {
		return string(s.changes[i].Data), !s.changes[i].Delete
	}
	if s.rec == nil {
		return "", false
	}
	return s.rec.Values.Get(key)
}

// set notes a change, unless it changes nothing.
func (s *Session) set(c Change) error {
	if s == nil {
		return ErrNoSession
	}
	if err := checkKey(c.Key); err != nil {
		return err
	}
	s.lock()
	defer s.mu.Unlock()
	if err := s.writable(); err != nil {
		return err
	}
	if data, ok := s.peek(c.Key); ok == !c.Delete && data == string(c.Data) {
		return nil
	}
	return s.note(c)
}

func checkKey(key string) error {
	if len(key) == 0 || len(key) > maxKey {
		return fmt.Errorf("session: key has %d bytes, 1 to %d are allowed", len(key), maxKey)
	}
	return nil
}

// note adds a change to the pending ones.
func (s *Session) note(c Change) error {
	changes := s.changes
	if i := lastChange(changes, c.Key); i >= 0 {
		old := changes[i]
		changes[i] = c
		if s.oversized() {
			changes[i] = old
			return ErrTooLarge
		}
		return nil
	}
	s.changes = append(changes, c)
	if s.oversized() {
		s.changes = changes
		return ErrTooLarge
	}
	return nil
}

func (s *Session) oversized() bool {
	var values Values
	if s.rec != nil {
		values = s.rec.Values
	}
	most := len(values)
	for _, c := range s.changes {
		most += valueHead + len(c.Key) + len(c.Data)
	}
	return most > maxValues && values.sizeWith(s.changes) > maxValues // the exact size takes longer
}

// modify is Update without types.
func (s *Session) modify(ctx context.Context, key string, fn func(data string, ok bool) ([]byte, error)) error {
	if s == nil {
		return ErrNoSession
	}
	if err := checkKey(key); err != nil {
		return err
	}
	d := detach(ctx)
	defer d.end()
	for attempt := 0; ; attempt++ {
		if err := d.Err(); err != nil { // fn, or what it changes, takes too long
			return fmt.Errorf("session: update %q: %w: %w", key, ErrUnavailable, err)
		}
		rec, data, ok, err := s.snapshot(key)
		if err != nil {
			return err
		}
		encoded, err := fn(data, ok) // nothing is locked: fn may read other values
		if err != nil {
			return err
		}
		if done, err := s.replace(d, rec, data, Change{Key: key, Data: encoded}, attempt); done || err != nil {
			return err
		}
	}
}

func (s *Session) snapshot(key string) (rec *Record, data string, ok bool, err error) {
	s.lock()
	defer s.mu.Unlock()
	data, ok = s.peek(key)
	return s.rec, data, ok, s.modifiable()
}

// modifiable is writable for a change that goes to the store at once: it needs no
// cookie if the session exists.
func (s *Session) modifiable() error {
	if s.committed && s.standing == live {
		return nil
	}
	return s.writable()
}

// replace stores a change with the pending ones, if record and value are as they
// were read. Otherwise done is false, and the value has to be read again.
func (s *Session) replace(ctx context.Context, rec *Record, data string, c Change, attempt int) (done bool, err error) {
	s.lock()
	defer s.unlock(ctx)
	if err := s.modifiable(); err != nil {
		return false, err
	}
	if now, _ := s.peek(c.Key); s.rec != rec || now != data {
		return false, nil // another goroutine of this request was faster
	}
	pending := s.changes
	s.changes = append(slices.Clone(pending), c)
	switch {
	case s.oversized():
		err = ErrTooLarge
	case s.rec == nil:
		err = s.createAnonymous(ctx)
		done = err == nil
	default:
		done, err = s.updateOnce(ctx, "update", nil, attempt)
	}
	if !done && s.standing != ended && s.standing != refused {
		s.changes = pending
	}
	return done, err
}
