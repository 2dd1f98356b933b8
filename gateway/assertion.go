package gateway

import (
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/updateage/session"
)

// claims are what an assertion says.
type claims struct {
	Issuer    string       `json:"iss"`
	Audience  jwt.Audience `json:"aud"`
	Subject   string       `json:"sub"`
	SessionID string       `json:"sid"` // OpenID Connect Front-Channel Logout, 3
	Level     uint8        `json:"level"`
	AuthTime  int64        `json:"auth_time"` // OpenID Connect Core, 2
	IssuedAt  int64        `json:"iat"`
	Expiry    int64        `json:"exp"`
}

// said is what an assertion says apart from its times, and the key that signs
// it: whatever changes one of these is seen at once.
type said struct {
	key                         *signingKey
	audience, sessionID, userID string
	level                       session.Level
	authenticatedAt             int64
}

func (s *Signer) sign(what *said, signed, expires time.Time) (string, error) {
	return jwt.Signed(what.key.jws).Claims(claims{
		Issuer: s.issuer, Audience: jwt.Audience{what.audience},
		Subject: what.userID, SessionID: what.sessionID, Level: uint8(what.level), AuthTime: what.authenticatedAt,
		IssuedAt: signed.Unix(), Expiry: expires.Unix(),
	}).Serialize()
}

// assertions keeps signed assertions, as signing takes longer than everything
// else that a request costs. It holds two generations: what nobody asks for
// while a generation fills or ages goes with it.
type assertions struct {
	mu         sync.Mutex
	young, old map[said]*assertion
	since      time.Time // when the young generation began
}

// generation is how many assertions there are of a generation: some 10 MB.
const generation = 16 << 10

// assertion is an assertion, once somebody has signed it.
type assertion struct {
	said
	signed, expires time.Time
	clipped         bool // it expires with the session
	once            sync.Once
	text            string
	err             error
}

// entry returns the assertion to use, which is signed already or is the caller's
// to sign, or another caller's at the same time.
func (a *assertions) entry(what said, now time.Time, lifetime time.Duration, end time.Time) *assertion {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := a.young[what]
	if e == nil {
		e = a.old[what]
	}
	if e != nil && e.usable(now, lifetime, end) {
		a.keep(e, now, lifetime)
		return e
	}
	// Copies: a record may be one long string of which the IDs are parts.
	what.audience, what.sessionID, what.userID = strings.Clone(what.audience), strings.Clone(what.sessionID), strings.Clone(what.userID)
	e = &assertion{said: what, signed: now, expires: now.Add(lifetime).Truncate(time.Second)}
	if end.Before(e.expires) {
		e.expires, e.clipped = end.Truncate(time.Second), true
	}
	a.keep(e, now, lifetime)
	return e
}

func (a *assertions) keep(e *assertion, now time.Time, lifetime time.Duration) {
	if a.young == nil || len(a.young) >= generation && a.young[e.said] == nil || now.Sub(a.since) >= lifetime/2 {
		a.young, a.old, a.since = make(map[said]*assertion), a.young, now
	}
	a.young[e.said] = e
}

// forget gives up an assertion that could not be signed.
func (a *assertions) forget(e *assertion) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, g := range [...]map[said]*assertion{a.young, a.old} {
		if g[e.said] == e {
			delete(g, e.said)
		}
	}
}

// usable says whether an assertion may be used further: half of its life is
// ahead, and the session's end is not what it was cut short for, or exceeds.
func (e *assertion) usable(now time.Time, lifetime time.Duration, end time.Time) bool {
	switch {
	case now.Before(e.signed), now.Sub(e.signed) >= lifetime/2:
		return false
	case e.clipped:
		return e.expires.Equal(end.Truncate(time.Second))
	}
	return !e.expires.After(end)
}
