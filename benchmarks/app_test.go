package benchmarks

import (
	"errors"
	"sync/atomic"
)

// app is the application that every contender serves, so that what differs is
// the sessions. C is what a handler gets of a request: a pair of writer and
// request, or what a framework has instead.
type app[C any] struct {
	user    func(c C) string
	value   func(c C, key string) string
	set     func(c C, key, value string) error
	signIn  func(c C, user string) error
	signOut func(c C) error

	describes bool // sessions have the client's address and user agent by themselves

	header func(c C, name string) string // of the request
	answer func(c C, status int, body []byte)
	gate   *gate
}

// The pages. Those above the line are measured, the others are for the probes.
const (
	readPage   = "/read"
	writePage  = "/write"
	signInPage = "/sign-in"

	fillPage    = "/fill"
	whoPage     = "/who"
	valuePage   = "/value"
	slowPage    = "/slow"
	signOutPage = "/sign-out"
)

// What a request says besides its cookie.
const (
	userHeader  = "X-User"
	keyHeader   = "X-Key"
	valueHeader = "X-Value"
)

var (
	welcome = []byte("welcome back")
	hello   = []byte("hello, visitor")
	saved   = []byte("saved")

	errNobody = errors.New("nobody is signed in")
)

// pages returns the handlers by path.
func (a *app[C]) pages() map[string]func(C) {
	return map[string]func(C){
		readPage:    a.read,
		writePage:   func(c C) { a.save(c, "theme", nextTheme()) },
		signInPage:  func(c C) { a.done(c, a.signIn(c, a.header(c, userHeader))) },
		signOutPage: func(c C) { a.done(c, a.signOut(c)) },
		fillPage:    a.fill,
		whoPage:     func(c C) { a.answer(c, 200, []byte(a.user(c))) },
		valuePage:   func(c C) { a.answer(c, 200, []byte(a.value(c, a.header(c, keyHeader)))) },
		slowPage:    a.slow,
	}
}

func (a *app[C]) read(c C) {
	if a.user(c) == "" {
		a.answer(c, 200, hello)
		return
	}
	a.answer(c, 200, welcome)
}

func (a *app[C]) save(c C, key, value string) {
	if a.user(c) == "" {
		a.done(c, errNobody)
		return
	}
	a.done(c, a.set(c, key, value))
}

// fill sets the three values that a session has besides its user, and what a list
// of devices shows, where the library does not keep that.
func (a *app[C]) fill(c C) {
	err := errors.Join(a.set(c, "lang", "en-GB"), a.set(c, "theme", "system"), a.set(c, "cart", "[1,2,3]"))
	if !a.describes {
		err = errors.Join(err, a.set(c, "address", "192.0.2.1"), a.set(c, "agent", agent))
	}
	a.done(c, err)
}

// slow has found its session when it waits, and changes it afterwards.
func (a *app[C]) slow(c C) {
	if a.user(c) == "" {
		a.done(c, errNobody)
		return
	}
	a.gate.wait()
	a.done(c, a.set(c, a.header(c, keyHeader), a.header(c, valueHeader)))
}

func (a *app[C]) done(c C, err error) {
	if err != nil {
		a.answer(c, 500, []byte(err.Error()))
		return
	}
	a.answer(c, 200, saved)
}

// gate holds handlers until the probe lets them go on.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{make(chan struct{}), make(chan struct{})} }

func (g *gate) wait() {
	g.arrived <- struct{}{}
	<-g.open
}

// themes are values to write: the next one is never the one a session has.
var (
	themes  = [...]string{"dark", "light", "sepia", "night", "paper", "ocean", "amber"}
	themeNo atomic.Uint32
)

func nextTheme() string { return themes[themeNo.Add(1)%uint32(len(themes))] }
