package session

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// writer commits the session before the first byte of the response leaves: on
// Write, WriteHeader, Flush, ReadFrom or Hijack, whichever comes first, or when
// the handler returns. If the commit fails, the error answer goes out and
// nothing of what the handler writes does.
type writer struct {
	inner   http.ResponseWriter
	session *Session
	begun   bool
	encoded bool // a middleware outside encodes the body
	failed  bool // the commit, and the response is complete
}

// begin commits once.
func (w *writer) begin() error {
	switch {
	case w.failed:
		return w.session.rare.failure
	case w.begun:
		return nil
	}
	w.begun = true
	h := w.inner.Header()
	err := w.session.finish(h)
	if err != nil {
		w.failed = true
		w.dropEntity(h)
		w.session.m.fail(w.inner, w.session.req, err)
	}
	return err
}

// dropEntity removes the headers that describe the handler's body.
func (w *writer) dropEntity(h http.Header) {
	for _, name := range [...]string{
		"Accept-Ranges", "Content-Disposition", "Content-Language", "Content-Length", "Content-Location",
		"Content-Range", "Content-Type", "Etag", "Expires", "Last-Modified", "Link", "Location", "Refresh",
		"Trailer", "Cdn-Cache-Control", "Surrogate-Control",
	} {
		delete(h, name)
	}
	if !w.encoded {
		delete(h, "Content-Encoding")
	}
}

// Header returns the response's headers, or ones that go nowhere if an error
// answer has taken the response's place.
func (w *writer) Header() http.Header {
	if w.failed {
		return make(http.Header)
	}
	return w.inner.Header()
}

// WriteHeader lets informational responses pass: the final one is yet to come.
// 101 is final.
func (w *writer) WriteHeader(status int) {
	if informational(status) {
		if !w.failed {
			w.inner.WriteHeader(status)
		}
		return
	}
	if w.begin() == nil {
		w.inner.WriteHeader(status)
	}
}

func informational(status int) bool {
	return 100 <= status && status < 200 && status != http.StatusSwitchingProtocols
}

func (w *writer) Write(b []byte) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return w.inner.Write(b)
}

// WriteString saves the copy that io.WriteString would make.
func (w *writer) WriteString(s string) (int, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return io.WriteString(w.inner, s)
}

// Unwrap gives http.ResponseController the deadlines and full duplex of the
// inner writer, neither of which writes.
func (w *writer) Unwrap() http.ResponseWriter { return w.inner }

func (w *writer) flush() error {
	if err := w.begin(); err != nil {
		return err
	}
	return http.NewResponseController(w.inner).Flush()
}

func (w *writer) hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.begin(); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(w.inner).Hijack()
}

func (w *writer) readFrom(src io.Reader) (int64, error) {
	if err := w.begin(); err != nil {
		return 0, err
	}
	return w.inner.(io.ReaderFrom).ReadFrom(src)
}

func (w *writer) closeNotify() <-chan bool { return w.inner.(closeNotifier).CloseNotify() }

// closeNotifier is http.CloseNotifier, which is deprecated but which Gin's
// writer calls on the writer it was given.
type closeNotifier interface{ CloseNotify() <-chan bool }
