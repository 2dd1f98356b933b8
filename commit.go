package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// Changed values go to the store on top of whatever other requests of the same
// session have written meanwhile: each request writes the keys it changed and no
// others, so that parallel requests lose nothing. A record that is gone is never
// written again.

// commitDetached commits on a context of its own, if there is anything to commit.
func (s *Session) commitDetached(ctx context.Context) error {
	if len(s.changes) == 0 || s.saved {
		return nil
	}
	d := detach(ctx)
	defer d.end()
	return s.commit(d)
}

// commit stores the pending changes; mu is held.
func (s *Session) commit(ctx context.Context) error {
	switch {
	case len(s.changes) == 0, s.saved:
		return nil
	case s.rec == nil:
		return s.createAnonymous(ctx)
	case s.m.patcher != nil:
		return s.patch(ctx)
	}
	return s.update(ctx, "commit", nil)
}

// patch lets the store merge, in one round trip.
func (s *Session) patch(ctx context.Context) error {
	version, at := newVersion(), now()
	err := insist(func() error { return s.m.patcher.Patch(ctx, s.rec.ID, s.changes, version, at) })
	if err != nil {
		return s.lost(ctx, "commit", err)
	}
	s.saved = true
	return nil
}

// lock locks mu for whoever may ask for values. What was patched is merged into
// the record only then: most requests commit, and nobody asks any more.
func (s *Session) lock() {
	s.mu.Lock()
	if !s.saved {
		return
	}
	next := *s.rec
	values, err := next.Values.Apply(s.changes)
	if err == nil { // else other requests have deleted what makes it too large here
		next.Values = values
	}
	// The store has merged in other requests' values, which are unknown here.
	// No stored version is zero, so a later update conflicts and loads first.
	next.Version = 0
	s.rec, s.changes, s.saved = &next, nil, false
}

// update writes the record with the pending changes and what edit does to it. On
// a conflict it does the same to what another request wrote; edit may refuse.
func (s *Session) update(ctx context.Context, verb string, edit func(*Record) error) error {
	for attempt := 0; ; attempt++ {
		if done, err := s.updateOnce(ctx, verb, edit, attempt); done || err != nil {
			return err
		}
	}
}

// updateOnce is one attempt of update. If it is not done and there is no error,
// s.rec is what another request wrote.
func (s *Session) updateOnce(ctx context.Context, verb string, edit func(*Record) error, attempt int) (done bool, err error) {
	next := *s.rec
	if next.Values, err = next.Values.Apply(s.changes); err != nil {
		return false, err
	}
	if edit != nil {
		if err = edit(&next); err != nil {
			return false, err
		}
	}
	next.Version = newVersion()
	err = insist(func() error { return s.m.store.Update(ctx, &next, s.rec.Version) })
	switch {
	case err == nil:
		s.rec, s.changes = &next, nil
		return true, nil
	case errors.Is(err, ErrConflict):
		return false, s.again(ctx, verb, attempt)
	}
	return false, s.lost(ctx, verb, err)
}

// again waits a moment after a conflict and loads the record anew.
func (s *Session) again(ctx context.Context, verb string, attempt int) error {
	if err := backOff(ctx, attempt); err != nil {
		return s.failed(ctx, verb, err)
	}
	rec, err := s.m.store.Load(ctx, s.rec.ID)
	switch {
	case err != nil:
		return s.lost(ctx, verb, err)
	case rec.revoked(), s.m.cfg.expired(rec, now()):
		s.drop(ended)
		return ErrRevoked
	case rec.State == StateMoved:
		s.drop(refused)
		return ErrSuperseded
	}
	s.rec = rec
	return nil
}

// lost handles the failure of a write: a record that is gone was revoked, and
// stays so.
func (s *Session) lost(ctx context.Context, verb string, err error) error {
	if !errors.Is(err, ErrNotFound) {
		return s.failed(ctx, verb, err)
	}
	moved, err := s.m.store.Load(ctx, s.rec.ID)
	if err == nil && moved.State == StateMoved && !moved.revoked() {
		s.drop(refused)
		return ErrSuperseded
	}
	s.drop(ended)
	return ErrRevoked
}

// insist repeats an operation once if the store did not answer. The first one may
// have been done and only its reply lost: then giving up would leave the client
// with a token that is dead. Every operation of a store can be repeated.
func insist(operation func() error) error {
	err := operation()
	if err != nil && !isAnswer(err) {
		err = operation()
	}
	return err
}

// backOff waits a random time that grows with the attempts, so that of many
// writers one gets through at once. Its error is the context's.
func backOff(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return ctx.Err() // the usual case: one other writer, who is done
	}
	timer := time.NewTimer(time.Duration(1 + rand.Int64N(int64(time.Millisecond)<<min(attempt, 5))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// createAnonymous begins a session for the pending values.
func (s *Session) createAnonymous(ctx context.Context) error {
	values, err := Values("").Apply(s.changes)
	if err != nil {
		return err
	}
	if values == "" { // only deletions
		s.changes = nil
		return nil
	}
	fresh := newToken("")
	rec := s.newRecord(fresh, "", StateAnonymous)
	rec.Persistent, rec.Values = true, values
	s.m.cfg.begin(rec, rec.CreatedAt)
	if err := insist(func() error { return s.m.store.Create(ctx, rec) }); err != nil {
		return s.failed(ctx, "create", err)
	}
	s.adopt(rec, fresh)
	s.happened(EventCreated)
	return nil
}

// newRecord returns a record of this request's client. ID and user ID are copies: a
// part of the token would keep the secret in memory as long as anybody keeps the ID,
// and what net/http cuts out of a form the whole of it, with the password.
func (s *Session) newRecord(t token, userID string, state State) *Record {
	now := now()
	r := &Record{
		ID: strings.Clone(t.id()), UserID: strings.Clone(userID), State: state, TokenHash: t.hash(),
		CreatedAt: now, RotatedAt: now, Version: newVersion(),
	}
	s.describe(r)
	return r
}

// describe notes the request's client in the record.
func (s *Session) describe(r *Record) {
	if addr := s.m.cfg.clientAddr(s.req); addr.IsValid() {
		r.IPAddress = addr.String()
	}
	// Copies: some servers use a request's memory again.
	r.UserAgent, r.DeviceID = strings.Clone(userAgent(s.req)), strings.Clone(deviceID(s.req))
}

// adopt makes a new record the request's session, whose cookie is to be sent.
func (s *Session) adopt(rec *Record, t token) {
	s.rec, s.token, s.changes = rec, t, nil
	s.standing, s.current, s.header = live, true, false
	s.cookie, s.undelivered, s.tokenReady = sendCookie, true, false
	s.issued, s.unsaved = true, false
}

// writable says why values cannot be changed, if they cannot; mu is held.
func (s *Session) writable() error {
	switch {
	case s.committed:
		return ErrCommitted
	case s.standing == refused:
		return ErrSuperseded
	case s.standing == ended:
		return ErrRevoked
	case s.standing == unavailable:
		return ErrUnavailable
	case s.rec == nil && s.withheld():
		return ErrCrossSite
	case s.rec == nil && s.m.cfg.plainHTTP(s.req):
		return errNoCookie
	}
	return nil
}

// withheld says whether the browser may have withheld the session cookie because
// another site made the request. A new cookie would then replace the user's
// login. A Lax cookie comes along when somebody follows a link, so that a missing
// one is none.
func (s *Session) withheld() bool {
	h := s.req.Header
	if s.cookies || h.Get("Sec-Fetch-Site") != "cross-site" {
		return false
	}
	switch s.m.cfg.Cookie.SameSite {
	case http.SameSiteNoneMode:
		return false
	case http.SameSiteLaxMode:
		link := h.Get("Sec-Fetch-Mode") == "navigate" && h.Get("Sec-Fetch-Dest") == "document"
		return !link || s.req.Method != http.MethodGet && s.req.Method != http.MethodHead
	}
	return true
}
