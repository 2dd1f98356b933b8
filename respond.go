package session

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a session puts into the response: its cookie, or the end of it, and what
// caches have to know.

// finish commits and writes the session's headers, before the first byte.
func (s *Session) finish(h http.Header) error {
	ctx := s.req.Context()
	s.mu.Lock()
	defer s.unlock(ctx)
	s.committed = true // also if the store panics
	err := s.commitDetached(ctx)
	if err == nil && s.unsaved {
		err = s.gone()
	}
	if err != nil {
		s.rarely().failure = err
	}
	addVary(h, s.m.cfg.HeaderTransport)
	switch {
	case s.cookie == sendCookie && (s.undelivered || s.upToDate(ctx)):
		s.send(h)
	case s.cookie == clearCookie, s.expiredCookie():
		setCookie(h, s.m.cfg.Cookie.cookie("", -1))
	case s.undelivered:
		h["Cache-Control"] = noStore // the body has the token
	case s.rec != nil && h["Cache-Control"] == nil:
		h["Cache-Control"] = private
	}
	if s.signedOut {
		s.clearSiteData(h)
	}
	s.undelivered = false
	s.discard()
	return err
}

// expiredCookie says whether the browser is to forget the cookie of an expired
// session. Not after a while: the user may have signed in again since, and a late
// response must not clear the newer cookie.
func (s *Session) expiredCookie() bool {
	return s.expired && s.cookies && s.standing == absent && now().UnixMilli()-s.rarely().expiredAt < clearWithin.Milliseconds()
}

// clearWithin is how old news of an expiry may be.
const clearWithin = 5 * time.Second

// gone is the error of a change in a session that has ended.
func (s *Session) gone() error {
	if s.standing == refused {
		return ErrSuperseded
	}
	return ErrRevoked
}

// upToDate says whether the token that a refresh is about to send is still the
// session's. If another request has signed in or rotated since, sending it would
// replace the newer cookie. A response that begins at once after the refresh is
// not checked: what happened in between could as well have overtaken it on its
// way to the client.
func (s *Session) upToDate(ctx context.Context) bool {
	if !s.token.matches(&s.rec.TokenHash) {
		return false // a conflict has shown it
	}
	if since := now().Sub(later(s.rec.UpdatedAt, s.rec.RotatedAt)); 0 <= since && since < unchecked {
		return true
	}
	d := detach(ctx)
	defer d.end()
	rec, err := s.m.store.Load(d, s.rec.ID)
	return err == nil && rec.State != StateMoved && s.token.matches(&rec.TokenHash)
}

// unchecked is how soon after a refresh its cookie needs no second look.
const unchecked = 5 * time.Millisecond

// send puts the session's cookie into the response.
func (s *Session) send(h http.Header) {
	age := 0 // ends with the browser
	if s.rec.Persistent {
		end := s.m.cfg.end(s.rec)
		if s.m.cfg.Cookie.Absolute && s.rec.State == StateSignedIn {
			end = s.m.cfg.absoluteEnd(s.rec)
		}
		left := time.Until(end)
		age = int(min(max(left.Round(time.Second)/time.Second, 1), maxAge))
	}
	setCookie(h, s.m.cfg.Cookie.cookie(s.m.seal(s.token), age))
}

// clearSiteData makes the browser forget what the configuration says, after a
// SignOut. A new session's cookie has to survive that.
func (s *Session) clearSiteData(h http.Header) {
	var quoted []string
	for _, data := range s.m.cfg.ClearSiteData {
		if s.cookie != sendCookie || data != "cookies" && data != "*" {
			quoted = append(quoted, strconv.Quote(data))
		}
	}
	if len(quoted) > 0 {
		h.Set("Clear-Site-Data", strings.Join(quoted, ", "))
	}
}

// addVary tells caches that the response depends on the session, also where it
// only could have: CVE-2023-30861, CVE-2026-27205.
func addVary(h http.Header, headers bool) {
	names := headerNames[:1]
	if headers {
		names = headerNames[:]
	}
	if h["Vary"] == nil {
		h["Vary"] = varyCookie
		if headers {
			h["Vary"] = varyHeaders
		}
		return
	}
	for _, name := range names {
		if !listed(h["Vary"], name) {
			h.Add("Vary", name)
		}
	}
}

// listed says whether the lines of a list contain name or "*".
func listed(lines []string, name string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			if item = strings.TrimSpace(item); item == "*" || strings.EqualFold(item, name) {
				return true
			}
		}
	}
	return false
}
