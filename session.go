package session

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
)

// Session is the session of one request. It comes from FromContext and is never
// nil inside Handler; a visitor without a session has an empty one, which gets
// an ID with the first value that is set. A nil Session reads as empty, and
// changing it returns ErrNoSession.
//
// It is safe for concurrent use by the request's goroutines, and may be read
// after the request. Changes of values are stored before the first byte of the
// response; later ones return ErrCommitted.
type Session struct {
	m   *Manager
	req *http.Request

	shown atomic.Pointer[Record] // rec as it was when mu was last free

	mu      sync.Mutex // guards what follows
	rec     *Record    // as loaded or last written; nil: none
	changes []Change   // of values, not yet in rec: to be stored, unless saved
	token   token      // the request's, or the new one
	rare    *rare      // nil: nothing of the kind

	standing     standing
	cookie       cookieAction
	cookies      bool // the request has a cookie of the session's name
	header       bool // the session travels in a header
	current      bool // the request's secret is not the previous one
	committed    bool // the response has begun
	undelivered  bool // nobody has the new token yet
	tokenReady   bool // Token may be asked for it
	signedOut    bool
	expired      bool // a token was of a session that has expired
	ambiguous    bool // the request has tokens of several sessions
	issued       bool // the current secret was made by this request
	pendingEnded bool // a session that waited for the second factor has ended
	saved        bool // changes have been stored; see lock
	unsaved      bool // values were set in a session that has ended
}

// rare is what few requests need, kept apart because all of them would allocate
// it: a third of the exchange.
type rare struct {
	also      []*Record // further sessions that this request may end
	successor string    // ID of the session that replaced the request's own
	events    []Event   // to be told once mu is free
	expiredAt int64     // when a token of an expired session was seen, in milliseconds
	failure   error     // of the commit; the writer reads it without mu, once it is there
}

// rarely returns rare, for whoever has something to keep there or does not mind
// allocating it; mu is held.
func (s *Session) rarely() *rare {
	if s.rare == nil {
		s.rare = new(rare)
	}
	return s.rare
}

// cookieAction is what the response does with the session cookie.
type cookieAction uint8

const (
	keepCookie cookieAction = iota
	sendCookie
	clearCookie
)

// ID returns the public session ID, or "" if there is no session. It
// authenticates nobody; lists show it and revocations name it.
func (s *Session) ID() string {
	if rec := s.record(); rec != nil {
		return rec.ID
	}
	return ""
}

// UserID returns the signed-in user, or "". A user whose second factor is
// pending is not signed in.
func (s *Session) UserID() string {
	if rec := s.record(); rec != nil && rec.State == StateSignedIn {
		return rec.UserID
	}
	return ""
}

// PendingUserID returns the user whose second factor is outstanding, or "".
func (s *Session) PendingUserID() string {
	if rec := s.record(); rec != nil && rec.State == StatePending {
		return rec.UserID
	}
	return ""
}

// Fresh says whether a user is signed in and authenticated within Config.FreshAge.
func (s *Session) Fresh() bool {
	rec := s.record()
	return rec != nil && rec.State == StateSignedIn && now().Sub(rec.AuthenticatedAt) < s.m.cfg.FreshAge
}

// Info returns what there is to show of the session; the zero Info if there is none.
func (s *Session) Info() Info {
	if rec := s.record(); rec != nil {
		return s.m.info(rec)
	}
	return Info{}
}

// record does not wait for mu: while a write is under way, it is held for as long
// as the store takes.
func (s *Session) record() *Record {
	if s == nil {
		return nil
	}
	return s.shown.Load()
}

// Err says why there is no session: ErrExpired if the request's had expired and
// the store still knew it, ErrRevoked if it ended while the request was running,
// ErrSuperseded if the token is refused, ErrUnavailable inside Optional, else
// ErrNoSession. It is nil if there is a session.
func (s *Session) Err() error {
	if s == nil {
		return ErrNoSession
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.rec != nil:
		return nil
	case s.standing == unavailable:
		return ErrUnavailable
	case s.standing == refused:
		return ErrSuperseded
	case s.standing == ended:
		return ErrRevoked
	case s.expired && !s.signedOut:
		return ErrExpired
	}
	return ErrNoSession
}

// Token returns the session's token for a client that keeps it itself: once,
// after a SignIn with SignInOptions.Header or a Rotate of such a session.
func (s *Session) Token() (t Token, ok bool) {
	if s == nil {
		return Token{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tokenReady {
		return Token{}, false
	}
	s.tokenReady = false
	issued := s.token
	return Token{&issued}, true
}

// Commit stores the changed values now. It needs no call: the first byte of the
// response commits. The client hanging up does not stop it. Errors are those of
// Config.ErrorHandler; the changes then stay pending, unless the session has ended.
func (s *Session) Commit(ctx context.Context) error {
	if s == nil {
		return ErrNoSession
	}
	d := detach(ctx)
	defer d.end()
	s.mu.Lock()
	defer s.unlock(ctx)
	err := s.commit(d)
	s.unsaved = false // or the caller knows now
	return err
}

// SignOut ends the session at once and expires the cookie. What was set before
// is gone; a value set afterwards, such as a message, begins a new anonymous
// session with a cookie of its own. It works at any time, even
// after the first byte, and although the client hung up. If the session could
// not be ended it returns ErrUnavailable and the cookie stays.
func (s *Session) SignOut(ctx context.Context) error {
	if s == nil {
		return ErrNoSession
	}
	d := detach(ctx)
	defer d.end()
	s.mu.Lock()
	defer s.unlock(ctx)
	if s.standing == unavailable {
		return ErrUnavailable
	}
	if s.rec != nil {
		if err := s.end(d, s.rec); err != nil {
			return err
		}
	}
	if err := s.endOthers(d); err != nil {
		return err
	}
	if !s.withheld() { // else another site could make the browser forget the login
		s.cookie = clearCookie
	}
	s.drop(absent)
	s.tokenReady, s.undelivered, s.signedOut, s.unsaved = false, false, true, false
	return nil
}

// end deletes a session that this request may end.
func (s *Session) end(ctx context.Context, rec *Record) error {
	if err := insist(func() error { return s.m.store.Delete(ctx, rec.ID) }); err != nil {
		return s.failed(ctx, "sign out", err)
	}
	s.event(Event{Kind: EventSignedOut, SessionID: rec.ID, UserID: rec.UserID})
	return nil
}

// endOthers ends the further sessions of the request's tokens.
func (s *Session) endOthers(ctx context.Context) error {
	for others := s.rarely(); len(others.also) > 0; others.also = others.also[1:] {
		if err := s.end(ctx, others.also[0]); err != nil {
			return err
		}
	}
	return nil
}

// drop forgets the session. Where it has ended, that is no way to get rid of what
// was set and of a second factor that was outstanding.
func (s *Session) drop(then standing) {
	if then == ended || then == refused {
		s.pendingEnded = s.pendingEnded || s.rec != nil && s.rec.State == StatePending
		s.unsaved = s.unsaved || len(s.changes) > 0 && !s.saved
	}
	s.rec, s.changes, s.saved, s.token, s.standing = nil, nil, false, "", then
	if s.cookie == sendCookie {
		s.cookie = keepCookie
	}
}

// discard forgets the changes that will not be stored any more.
func (s *Session) discard() {
	if !s.saved {
		s.changes = nil
	}
}

// abandon undoes what no response will tell the client: the handler panicked.
// Pending values are dropped, and a session whose token nobody got is deleted.
// SignOut stands.
func (s *Session) abandon() {
	ctx := s.req.Context()
	s.mu.Lock()
	defer s.unlock(ctx)
	s.discard()
	s.committed = true // what a recovery sets now would not be stored
	if !s.undelivered || s.rec == nil {
		return
	}
	d := detach(ctx)
	defer d.end()
	if err := s.m.store.Delete(d, s.rec.ID); err != nil {
		_ = s.failed(d, "delete undelivered", err)
	}
	s.drop(ended)
}

func (s *Session) requireUser() error {
	switch {
	case s.UserID() != "":
		return nil
	case s.stands() == unavailable: // Optional let it through
		return ErrUnavailable
	}
	return ErrNoSession
}

func (s *Session) requireFresh() error {
	if err := s.requireUser(); err != nil {
		return err
	}
	if !s.Fresh() {
		return ErrNotFresh
	}
	return nil
}

func (s *Session) stands() standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standing
}

// happened notes an event of the session itself.
func (s *Session) happened(kind EventKind) {
	s.event(Event{Kind: kind, SessionID: s.rec.ID, UserID: s.rec.UserID})
}

// event notes an event, to be told by unlock.
func (s *Session) event(e Event) {
	told := s.rarely()
	told.events = append(told.events, e)
}

// unlock unlocks and tells the events: a hook may use the session.
func (s *Session) unlock(ctx context.Context) {
	var events []Event
	if s.rare != nil {
		events, s.rare.events = s.rare.events, nil
	}
	s.publish()
	s.mu.Unlock()
	for _, e := range events {
		s.m.emit(ctx, s.req, e)
	}
}

// publish lets readers see rec. Storing takes longer than looking whether it has
// changed, which it rarely has.
func (s *Session) publish() {
	if s.shown.Load() != s.rec {
		s.shown.Store(s.rec)
	}
}

// failed is unavailable for a caller that holds mu. Answers pass unchanged.
func (s *Session) failed(ctx context.Context, verb string, err error) error {
	if isAnswer(err) {
		return err
	}
	s.event(Event{Kind: EventStoreError, SessionID: s.recordID(), Err: fmt.Errorf("%s: %w", verb, err)})
	return fmt.Errorf("session: %s: %w: %w", verb, ErrUnavailable, err)
}

func (s *Session) recordID() string {
	if s.rec == nil {
		return ""
	}
	return s.rec.ID
}

// String shows the session's public ID and user.
func (s *Session) String() string {
	rec := s.record()
	if rec == nil {
		return "no session"
	}
	return fmt.Sprintf("session %s (%s, user %q)", rec.ID, rec.State, rec.UserID)
}

// Format shows String under every verb.
func (s *Session) Format(f fmt.State, _ rune) { show(f, s.String()) }

// LogValue shows the session's public ID and user.
func (s *Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText shows the session's public ID and user, in JSON as well.
func (s *Session) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
