package session

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// standing is how a request stands to a session.
type standing uint8

const (
	absent      standing = iota // no token, or one of no session
	live                        // authenticated
	refused                     // a token that names a session but does not authenticate
	ended                       // the session was live and has ended since
	unavailable                 // the store could not be asked
)

// Reasons for a rejected token.
const (
	errUnknownID   = errorString("unknown session ID")
	errWrongSecret = errorString("wrong secret")
	errLate        = errorString("secret was replaced a moment ago")
	errReplayed    = errorString("secret was replaced long ago")
	errMoved       = errorString("session was replaced by a sign-in")
	errBinding     = errorString("used by another client")
	errPlainHTTP   = errorString("token came over plain HTTP")
)

// load finds the request's session. Nobody else has the session yet, so there is
// nothing to lock. An error means the store could not be asked.
func (s *Session) load(ctx context.Context) error {
	defer s.publish()
	p := s.m.read(s.req)
	s.cookies = p.cookies > 0
	s.header = p.header
	if p.n == 0 && !p.garbage && !p.refused {
		return nil
	}
	if s.m.cfg.plainHTTP(s.req) {
		// Fails closed: whoever listens has the token now (N 5.1).
		s.standing = refused
		s.reject(ctx, "", errPlainHTTP)
		return nil
	}
	if p.garbage {
		s.reject(ctx, "", errMalformed)
	}
	at := now() // all of the request is judged at one time
	for _, t := range p.tokens[:p.n] {
		if err := s.try(ctx, t, at); err != nil {
			s.drop(unavailable)
			return err
		}
	}
	if p.refused || s.ambiguous {
		s.refuseAll(ctx)
	}
	if s.rec != nil {
		if s.rare != nil {
			s.rare.also = nil // late secrets, mostly of this very session
		}
		s.maintain(ctx, at)
	}
	return nil
}

// try authenticates one token. What names an existing record and is refused
// leaves the cookie alone: it may be a late request, and the browser may have a
// newer cookie already.
func (s *Session) try(ctx context.Context, t token, now time.Time) error {
	rec, err := s.m.store.Load(ctx, t.id())
	switch {
	case errors.Is(err, ErrNotFound):
		s.reject(ctx, t.id(), errUnknownID)
		return nil
	case errors.Is(err, ErrUnreadable):
		s.refuse()
		s.m.emit(ctx, s.req, Event{Kind: EventUnreadableRecord, SessionID: t.id(), Err: err})
		return nil
	case err != nil:
		return s.m.unavailable(ctx, "load", t.id(), err)
	}
	current, reason := rec.verify(t, now)
	switch {
	case reason == errMoved && (rec.revoked() || s.m.cfg.expired(rec, now)):
		s.reject(ctx, rec.ID, errUnknownID) // nothing took its place: the tombstone is only waiting to be freed
	case reason == errReplayed:
		return s.replayed(ctx, rec)
	case reason != nil:
		s.refuse()
		s.reject(ctx, rec.ID, reason)
		switch {
		case reason == errLate:
			s.mayEnd(rec) // it may not read, but its user may sign out
		case reason == errMoved && t.matches(&rec.TokenHash):
			s.rarely().successor = rec.Method
		}
	case s.m.cfg.expired(rec, now):
		return s.expire(ctx, rec)
	case s.m.cfg.mismatch(rec, s.req) != 0:
		return s.mismatched(ctx, rec)
	case s.rec == nil:
		s.rec, s.token, s.current, s.standing = rec, t, current, live
	case s.rec.ID != rec.ID:
		s.mayEnd(rec)
		s.ambiguous = true
	case current:
		s.rec, s.token, s.current = rec, t, true
	}
	return nil
}

// verify says whether the token is the session's, and if it is whether its
// secret is the current one.
func (r *Record) verify(t token, now time.Time) (current bool, reason error) {
	hash := t.hash()
	switch {
	case r.State == StateMoved:
		return false, errMoved
	case sameHash(&hash, &r.TokenHash):
		return true, nil
	case r.PreviousTokenHash == [32]byte{} || !sameHash(&hash, &r.PreviousTokenHash):
		// Never a reason to revoke: IDs are public, so anybody could send this.
		return false, errWrongSecret
	case r.PreviousReads && (r.PreviousUntil.IsZero() || now.Before(r.PreviousUntil)):
		return false, nil
	case now.Before(r.PreviousUntil):
		return false, errLate
	}
	return false, errReplayed
}

// refuse notes that the request has a token it may not use.
func (s *Session) refuse() {
	if s.standing == absent {
		s.standing = refused
	}
}

// mayEnd notes a session that a SignOut of this request ends, whatever else it ends.
func (s *Session) mayEnd(rec *Record) {
	others := s.rarely()
	others.also = append(others.also, rec)
}

// refuseAll refuses a request whose tokens are of different sessions. SignOut
// still ends all that authenticated.
func (s *Session) refuseAll(ctx context.Context) {
	if s.rec != nil {
		s.mayEnd(s.rec)
	}
	s.rec, s.token, s.standing = nil, "", refused
	s.reject(ctx, "", errAmbiguous)
}

func (s *Session) reject(ctx context.Context, id string, reason error) {
	// A copy of the ID, so that whoever keeps it does not keep the token.
	s.m.emit(ctx, s.req, Event{Kind: EventRejectedToken, SessionID: strings.Clone(id), Err: reason})
}

// replayed handles an old secret that came back: client and thief both had the
// token at some time, and nobody knows which of them this is.
func (s *Session) replayed(ctx context.Context, rec *Record) error {
	s.refuse()
	s.m.emit(ctx, s.req, Event{Kind: EventReplayed, SessionID: rec.ID, UserID: rec.UserID, Err: errReplayed})
	if s.m.cfg.TolerateReplay {
		return nil
	}
	return s.revoke(ctx, rec, errReplayed)
}

// mismatched handles a token used by a client it is not bound to.
func (s *Session) mismatched(ctx context.Context, rec *Record) error {
	s.refuse()
	s.m.emit(ctx, s.req, Event{Kind: EventBindingMismatch, SessionID: rec.ID, UserID: rec.UserID, Err: errBinding})
	if !s.m.cfg.RevokeOnMismatch {
		s.mayEnd(rec) // its user may still sign out
		return nil
	}
	return s.revoke(ctx, rec, errBinding)
}

// revoke ends a session that a request gave away.
func (s *Session) revoke(ctx context.Context, rec *Record, reason error) error {
	d := detach(ctx)
	defer d.end()
	if err := s.m.store.Delete(d, rec.ID); err != nil {
		return s.m.unavailable(d, "revoke", rec.ID, err)
	}
	if s.rec != nil && s.rec.ID == rec.ID {
		s.drop(refused) // another cookie of this request was good until now
	}
	s.m.emit(ctx, s.req, Event{Kind: EventRevoked, SessionID: rec.ID, UserID: rec.UserID, Err: reason})
	return nil
}

// expire ends an expired session on both sides (CS Session Expiration). The
// tombstone comes first, as it replaces only what was read: another request may
// have refreshed the session at the last moment.
func (s *Session) expire(ctx context.Context, rec *Record) error {
	d := detach(ctx)
	defer d.end()
	err := s.m.store.Update(d, tombstone(rec, ""), rec.Version)
	if err == nil {
		err = s.m.store.Delete(d, rec.ID)
	}
	switch {
	case errors.Is(err, ErrConflict):
		s.refuse() // this request came too late for a session that lives
		return nil
	case err != nil && !errors.Is(err, ErrNotFound):
		// Expired it is either way; what is left of it frees itself.
		_ = s.m.unavailable(d, "delete expired", rec.ID, err)
	}
	s.expired = true
	s.rarely().expiredAt = now().UnixMilli()
	s.m.emit(ctx, s.req, Event{Kind: EventExpired, SessionID: rec.ID, UserID: rec.UserID})
	return nil
}

// maintain refreshes the session and changes its secret, where that is due, in
// one conditional write. Of parallel requests one succeeds, and only its response
// carries the cookie. Failing is no reason to fail the request: the session is
// valid, and the next request tries again.
func (s *Session) maintain(ctx context.Context, at time.Time) {
	if s.due(at) == nil || ctx.Value(withoutRefresh{}) != nil {
		return
	}
	due := s.due(later(at, now())) // the later it says it was, the less there is to look at again
	d := detach(ctx)
	defer d.end()
	err := s.m.store.Update(d, &due.rec, s.rec.Version)
	switch {
	case errors.Is(err, ErrNotFound):
		// Revoked since it was loaded: it must not come back.
		s.rec, s.token, s.standing = nil, "", ended
	case errors.Is(err, ErrConflict):
		// Another request was first.
	case err != nil:
		_ = s.m.unavailable(d, "refresh", s.rec.ID, err)
	default:
		s.issued = due.token != s.token
		s.rec, s.token = &due.rec, due.token
		if due.cookie {
			s.cookie = sendCookie
		}
		if due.kind != confirmed {
			s.m.emit(ctx, s.req, Event{Kind: due.kind, SessionID: s.rec.ID, UserID: s.rec.UserID})
		}
	}
}

// upkeep is what is due of a session.
type upkeep struct {
	rec    Record
	token  token
	cookie bool // the response carries the token
	kind   EventKind
}

// confirmed is the kind of the first use of a new secret, which is no event.
const confirmed EventKind = 0xff

// due returns what is due of the session at now, or nil.
func (s *Session) due(now time.Time) *upkeep {
	cfg := &s.m.cfg
	rotate := !s.header && cfg.rotationDue(s.rec, s.current, now)
	// Not with the previous secret: its cookie would overwrite that of the new one.
	refresh := s.current && cfg.refreshDue(s.rec, now)
	confirm := s.current && s.rec.PreviousReads && s.rec.PreviousUntil.IsZero()
	if !rotate && !refresh && !confirm || s.upgrades() {
		return nil // the cookie of an upgraded request could not arrive
	}
	u := &upkeep{rec: *s.rec, token: s.token, kind: confirmed}
	u.rec.Version = newVersion()
	if confirm {
		u.rec.PreviousUntil = now.Add(cfg.RotationGrace)
	}
	if refresh {
		cfg.refresh(&u.rec, now)
		u.cookie, u.kind = !s.header, EventRefreshed
	}
	if rotate {
		u.token = rotated(u.rec.ID)
		u.rec.replaceSecret(u.token, now, s.current)
		u.rec.PreviousReads, u.rec.PreviousUntil = true, time.Time{}
		u.cookie, u.kind = true, EventRotated
	}
	return u
}

// replaceSecret gives the record the token's secret. The one before is kept to
// be recognised, unless it never arrived.
func (r *Record) replaceSecret(t token, now time.Time, arrived bool) {
	if arrived {
		r.PreviousTokenHash = r.TokenHash
	}
	r.TokenHash, r.RotatedAt = t.hash(), now
}

// upgrades says whether the request asks for another protocol.
func (s *Session) upgrades() bool {
	to := s.req.Header.Get("Upgrade")
	return s.req.Method == http.MethodConnect || to != "" && to != "h2c" && // which clients offer and net/http declines
		strings.Contains(strings.ToLower(s.req.Header.Get("Connection")), "upgrade")
}
