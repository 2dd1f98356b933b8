package session

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// A handler asks its ResponseWriter by type assertion what it can do, so ours
// must offer what the inner writer has and nothing more. There is one type for
// each combination of Flusher, Hijacker, io.ReaderFrom and closeNotifier, named
// by their initials. Each holds one pointer, which an interface stores as it is:
// choosing one allocates nothing. HTTP/2 push is not offered: browsers have
// given it up.
type (
	wF    struct{ *writer }
	wH    struct{ *writer }
	wR    struct{ *writer }
	wC    struct{ *writer }
	wFH   struct{ wF }
	wFR   struct{ wF }
	wFC   struct{ wF }
	wHR   struct{ wH }
	wHC   struct{ wH }
	wRC   struct{ wR }
	wFHR  struct{ wFH }
	wFHC  struct{ wFH }
	wFRC  struct{ wFR }
	wHRC  struct{ wHR }
	wFHRC struct{ wFHR }
)

func (w wF) Flush()            { _ = w.flush() }
func (w wF) FlushError() error { return w.flush() }

func (w wH) Hijack() (net.Conn, *bufio.ReadWriter, error)  { return w.hijack() }
func (w wFH) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.hijack() }

func (w wR) ReadFrom(src io.Reader) (int64, error)   { return w.readFrom(src) }
func (w wFR) ReadFrom(src io.Reader) (int64, error)  { return w.readFrom(src) }
func (w wHR) ReadFrom(src io.Reader) (int64, error)  { return w.readFrom(src) }
func (w wFHR) ReadFrom(src io.Reader) (int64, error) { return w.readFrom(src) }

func (w wC) CloseNotify() <-chan bool    { return w.closeNotify() }
func (w wFC) CloseNotify() <-chan bool   { return w.closeNotify() }
func (w wHC) CloseNotify() <-chan bool   { return w.closeNotify() }
func (w wRC) CloseNotify() <-chan bool   { return w.closeNotify() }
func (w wFHC) CloseNotify() <-chan bool  { return w.closeNotify() }
func (w wFRC) CloseNotify() <-chan bool  { return w.closeNotify() }
func (w wHRC) CloseNotify() <-chan bool  { return w.closeNotify() }
func (w wFHRC) CloseNotify() <-chan bool { return w.closeNotify() }

const (
	canFlush = 1 << iota
	canHijack
	canReadFrom
	canCloseNotify
)

// shaped returns the writer with the abilities of the inner one.
func (w *writer) shaped() http.ResponseWriter {
	switch w.abilities() {
	case canFlush:
		return wF{w}
	case canHijack:
		return wH{w}
	case canReadFrom:
		return wR{w}
	case canCloseNotify:
		return wC{w}
	case canFlush | canHijack:
		return wFH{wF{w}}
	case canFlush | canReadFrom:
		return wFR{wF{w}}
	case canFlush | canCloseNotify:
		return wFC{wF{w}}
	case canHijack | canReadFrom:
		return wHR{wH{w}}
	case canHijack | canCloseNotify:
		return wHC{wH{w}}
	case canReadFrom | canCloseNotify:
		return wRC{wR{w}}
	case canFlush | canHijack | canReadFrom:
		return wFHR{wFH{wF{w}}}
	case canFlush | canHijack | canCloseNotify:
		return wFHC{wFH{wF{w}}}
	case canFlush | canReadFrom | canCloseNotify:
		return wFRC{wFR{wF{w}}}
	case canHijack | canReadFrom | canCloseNotify:
		return wHRC{wHR{wH{w}}}
	case canFlush | canHijack | canReadFrom | canCloseNotify:
		return wFHRC{wFHR{wFH{wF{w}}}}
	}
	return w
}

// abilities finds Flush and Hijack as http.ResponseController would, through
// Unwrap: it must not find them behind our back.
func (w *writer) abilities() (can int) {
	if _, ok := w.inner.(io.ReaderFrom); ok {
		can |= canReadFrom
	}
	if _, ok := w.inner.(closeNotifier); ok {
		can |= canCloseNotify
	}
	for inner := w.inner; ; {
		switch inner.(type) {
		case http.Flusher, interface{ FlushError() error }:
			can |= canFlush
		}
		if _, ok := inner.(http.Hijacker); ok {
			can |= canHijack
		}
		outer, ok := inner.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return can
		}
		inner = outer.Unwrap()
	}
}
