package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Signing in always makes a new secret (ASVS 5.0 7.2.4). The same user's session
// keeps its ID; every other session is replaced by one with a new ID, and a
// tombstone remains in its place for a few minutes, so that requests which are
// under way with the old token neither write to nothing nor replace the new cookie.

// SignInOptions describe an authentication. The zero value is a sign-in that is
// remembered.
type SignInOptions struct {
	// Forget makes a session that ends with the browser, and after 24 hours at
	// the latest. It is kept on the server: no client can turn it off. A
	// session that is not remembered stays so when its user authenticates again.
	Forget bool
	// Method is how the user authenticated, in the application's words, at
	// most 128 bytes.
	Method string
	// Level is the assurance level of this authentication.
	Level Level
	// Pending says that the second factor is outstanding: the session lives 10
	// minutes, and UserID stays empty until SignIn is called without Pending.
	Pending bool
	// Header returns the token by Session.Token instead of a cookie, for a
	// client that sends it in a header. It needs Config.HeaderTransport.
	Header bool
}

// errNoCookie refuses to send a Secure cookie where it cannot travel.
var errNoCookie = fmt.Errorf("%w: request came over plain HTTP", ErrNoSession)

// SignIn signs the user in: call it when the authentication has succeeded. It
// takes effect in the store at once; the response carries the new cookie, unless
// the handler panics. The values of an anonymous session are carried over, those
// of another user's session are not. The old token is dead. If the handler
// panics before the response begins, the new session is deleted with all it has.
//
// The user ID is valid UTF-8 without NUL of 1 to 1,024 bytes. SignIn returns
// ErrCommitted after the first byte of the response, ErrLimit, ErrUnavailable,
// or ErrRevoked if a pending session ended meanwhile. Nobody is signed in by it
// then; only what the limit ended stays ended.
func (s *Session) SignIn(ctx context.Context, userID string, opts SignInOptions) error {
	if s == nil {
		return ErrNoSession
	}
	if err := s.m.checkSignIn(userID, opts); err != nil {
		return err
	}
	d := detach(ctx)
	defer d.end()
	s.lock()
	defer s.unlock(ctx)
	if err := s.issuable(); err != nil {
		return err
	}
	old := s.rec
	if old != nil && old.UserID == userID && old.State == StateSignedIn && !opts.Pending {
		pending := s.changes
		err := s.authenticateAgain(d, opts)
		if !errors.Is(err, ErrRevoked) && !errors.Is(err, ErrSuperseded) {
			return err
		}
		// Revoked or replaced meanwhile. The user has just authenticated all the
		// same, which deserves a session; the old one does not come back.
		s.drop(absent)
		s.changes = pending
	}
	return s.begin(d, userID, opts)
}

func (m *Manager) checkSignIn(userID string, opts SignInOptions) error {
	switch {
	case clip(opts.Method, maxShort) != opts.Method:
		return fmt.Errorf("session: sign in: Method is not valid UTF-8 without NUL of at most %d bytes", maxShort)
	case opts.Header && !m.cfg.HeaderTransport:
		return errors.New("session: sign in: Header needs Config.HeaderTransport")
	}
	return checkUserID(userID)
}

// issuable says why no new token can reach the client, if it cannot.
func (s *Session) issuable() error {
	switch {
	case s.committed:
		return ErrCommitted
	case s.standing == unavailable:
		return ErrUnavailable // the old session might stay behind, alive
	case s.pendingEnded:
		return ErrRevoked // the first factor was in it: fails closed
	case s.m.cfg.plainHTTP(s.req):
		return errNoCookie
	}
	return nil
}

// authenticateAgain gives the same user's session a new secret and a new
// authentication; nothing else of it changes.
func (s *Session) authenticateAgain(ctx context.Context, opts SignInOptions) error {
	fresh, before := rotated(s.rec.ID), s.rec.TokenHash
	err := s.update(ctx, "sign in", func(r *Record) error {
		if r.TokenHash != before {
			return ErrSuperseded
		}
		now := now()
		r.replaceSecret(fresh, now, !s.issued)
		r.PreviousReads, r.PreviousUntil = false, now.Add(s.m.cfg.RotationGrace)
		s.authenticate(r, opts, now)
		return nil
	})
	if err != nil {
		return err
	}
	s.adopt(s.rec, fresh)
	s.route(opts.Header)
	s.happened(EventSignedIn)
	return nil
}

// authenticate notes an authentication in the record. The level is that of this
// authentication, never more (N 5.1); what was not to be remembered still is not.
func (s *Session) authenticate(r *Record, opts SignInOptions, now time.Time) {
	r.AuthenticatedAt, r.Method, r.Level = now, strings.Clone(opts.Method), opts.Level
	r.Persistent = r.Persistent && !opts.Forget
	s.describe(r)
	s.m.cfg.begin(r, now)
}

// route decides how the new token travels. A client with a header must not keep
// a cookie beside it.
func (s *Session) route(header bool) {
	if !header {
		return
	}
	s.header, s.tokenReady, s.cookie = true, true, keepCookie
	if s.cookies {
		s.cookie = clearCookie
	}
}

// begin creates a session for the user and retires the old one. Creating comes
// first: if the program ends between the two, the user has lost nothing.
func (s *Session) begin(ctx context.Context, userID string, opts SignInOptions) error {
	old, changes := s.rec, s.changes
	carry := old == nil || old.State == StateAnonymous || old.UserID == userID
	if !carry {
		changes = nil
	}
	fresh := newToken(userID)
	rec := s.newRecord(fresh, userID, StateSignedIn)
	rec.Persistent = true
	if opts.Pending {
		rec.State = StatePending
	}
	switch {
	case old == nil:
		rec.Values = s.inherited(ctx, userID)
	case carry:
		rec.Persistent, rec.Values = old.Persistent, old.Values
	}
	values, err := rec.Values.Apply(changes)
	if err != nil {
		return err
	}
	rec.Values = values
	s.authenticate(rec, opts, rec.CreatedAt)
	evicted, err := s.m.create(ctx, rec)
	if err != nil {
		return s.undo(ctx, rec.ID, err)
	}
	for _, id := range evicted {
		s.event(Event{Kind: EventRevoked, SessionID: id, UserID: userID, Err: ErrLimit})
	}
	if old != nil {
		if rec, err = s.retire(ctx, old, rec, carry, changes); err != nil {
			return err
		}
	}
	if s.ambiguous {
		// Which of several cookies the browser forgets is out of our hands: only
		// ending their sessions makes the new one unambiguous.
		_ = s.endOthers(ctx)
	}
	s.adopt(rec, fresh)
	s.route(opts.Header)
	if !carry {
		s.event(Event{Kind: EventSignedOut, SessionID: old.ID, UserID: old.UserID})
	}
	s.happened(EventCreated)
	s.happened(EventSignedIn)
	return nil
}

// inherited returns the values for a sign-in that comes a second time with the
// visitor's token, because the form was sent twice or the first reply was lost.
// The first one took the values along; they are this user's, who has just
// authenticated.
func (s *Session) inherited(ctx context.Context, userID string) Values {
	successor := s.rarely().successor
	if successor == "" {
		return ""
	}
	rec, err := s.m.store.Load(ctx, successor)
	if err != nil || rec.UserID != userID || rec.State != StateSignedIn || s.m.cfg.expired(rec, now()) {
		return ""
	}
	return rec.Values
}

// retire puts a tombstone in the place of the old record. If other requests
// wrote to it since it was read, their values are merged into the new one first,
// so that nothing they were told is stored gets lost.
func (s *Session) retire(ctx context.Context, old, rec *Record, carry bool, changes []Change) (*Record, error) {
	for attempt := 0; ; attempt++ {
		tomb := tombstone(old, rec.ID)
		err := insist(func() error { return s.m.store.Update(ctx, tomb, old.Version) })
		if err == nil {
			return rec, nil
		}
		if errors.Is(err, ErrConflict) {
			if err = backOff(ctx, attempt); err == nil {
				rec, err = s.follow(ctx, &old, rec, carry, changes)
			}
		}
		if errors.Is(err, ErrNotFound) || errors.Is(err, errMoved) {
			if old.State != StatePending {
				return rec, nil // nothing of it is left that could be lost
			}
			// The first factor was in the session that ended: fails closed.
			err = ErrRevoked
		}
		if err != nil {
			return nil, s.undo(ctx, rec.ID, err)
		}
	}
}

// follow loads the old record anew and merges its values into the new one.
func (s *Session) follow(ctx context.Context, old **Record, rec *Record, carry bool, changes []Change) (*Record, error) {
	latest, err := s.m.store.Load(ctx, (*old).ID)
	switch {
	case err != nil:
		return rec, err
	case latest.State == StateMoved:
		return rec, errMoved
	case s.m.cfg.expired(latest, now()):
		return rec, ErrNotFound
	}
	*old = latest
	if !carry {
		return rec, nil
	}
	next := *rec
	if next.Values, err = latest.Values.Apply(changes); err != nil {
		return rec, err
	}
	next.Version = newVersion()
	err = insist(func() error { return s.m.store.Update(ctx, &next, rec.Version) })
	if errors.Is(err, ErrNotFound) {
		err = ErrRevoked // the new session, by RevokeAll, before anybody had it
	}
	return &next, err
}

// revoked says whether the record is what remains of a session that ended and was
// replaced by no other.
func (r *Record) revoked() bool { return r.State == StateMoved && r.Method == "" }

// tombstone is what remains of a session that was replaced by another one, or
// for a moment of one that has ended.
func tombstone(r *Record, successor string) *Record {
	t := &Record{ID: r.ID, UserID: r.UserID, State: StateMoved, TokenHash: r.TokenHash, CreatedAt: r.CreatedAt, Method: successor}
	t.UpdatedAt, t.Version = now(), newVersion()
	t.ExpiresAt = t.UpdatedAt.Add(movedExpiresIn)
	return t
}

// undo deletes a new session that nobody will get the token of. It may be there
// although the store reported an error: the reply may have been lost.
func (s *Session) undo(ctx context.Context, id string, cause error) error {
	d := detach(ctx) // a time-out may have been the cause
	defer d.end()
	if err := insist(func() error { return s.m.store.Delete(d, id) }); err != nil {
		_ = s.failed(d, "undo sign in", err)
	}
	if errors.Is(cause, ErrRevoked) {
		return cause
	}
	return s.failed(ctx, "sign in", cause)
}

// Rotate gives the session a new secret; the old one is dead at once. Call it
// when the user's rights change (ASVS 5.0 7.2.4). Errors are those of SignIn,
// ErrNoSession without a session, and ErrSuperseded if another request replaced
// the secret meanwhile.
func (s *Session) Rotate(ctx context.Context) error {
	if s == nil {
		return ErrNoSession
	}
	d := detach(ctx)
	defer d.end()
	s.lock()
	defer s.unlock(ctx)
	if err := s.rotatable(); err != nil {
		return err
	}
	fresh, before, header := rotated(s.rec.ID), s.rec.TokenHash, s.header
	err := s.update(d, "rotate", func(r *Record) error {
		if r.TokenHash != before {
			return ErrSuperseded
		}
		now := now()
		r.replaceSecret(fresh, now, !s.issued)
		r.PreviousReads, r.PreviousUntil = false, now.Add(s.m.cfg.RotationGrace)
		return nil
	})
	if err != nil {
		return err
	}
	s.adopt(s.rec, fresh)
	s.route(header)
	s.happened(EventRotated)
	return nil
}

func (s *Session) rotatable() error {
	if err := s.issuable(); err != nil {
		return err
	}
	if s.rec == nil && s.standing == absent {
		return ErrNoSession
	}
	return s.writable()
}
