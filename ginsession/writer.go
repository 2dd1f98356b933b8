package ginsession

import (
	"bufio"
	"net"
	"net/http"

	"github.com/gin-gonic/gin"
)

// Gin's writer and net/http's differ in one thing: Gin's WriteHeader notes a
// status, which leaves with the first byte, and net/http's sends it. So there are
// two writers, one for each direction:
//
//	Gin's handlers -> writer -> commit, then Gin's own writer
//	session        -> answer -> Gin's own writer, if the commit has failed

// writer is Gin's own writer, whose first byte waits for the commit. If that
// fails, the error answer is out, and nothing of what handlers write is.
type writer struct {
	gin.ResponseWriter
	session http.ResponseWriter // nil: a writer below Gin commits
}

// commit makes the session package commit, once, by writing nothing to it. A
// failure has answered the request.
func (w *writer) commit() error {
	if w.session == nil {
		return nil
	}
	_, err := w.session.Write(nil)
	return err
}

// Header returns the response's headers, or ones that go nowhere if an error
// answer has taken the response's place.
func (w *writer) Header() http.Header {
	if w.session == nil {
		return w.ResponseWriter.Header()
	}
	return w.session.Header()
}

// WriteHeaderNow commits before an informational status as well, as Gin takes
// that for the final one.
func (w *writer) WriteHeaderNow() {
	if w.commit() == nil {
		w.ResponseWriter.WriteHeaderNow()
	}
}

func (w *writer) Write(b []byte) (int, error) {
	if err := w.commit(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

func (w *writer) WriteString(s string) (int, error) {
	if err := w.commit(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.WriteString(s)
}

func (w *writer) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController asks for.
func (w *writer) FlushError() error {
	if err := w.commit(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.commit(); err != nil {
		return nil, nil, err
	}
	return w.ResponseWriter.Hijack()
}

// Unwrap gives http.ResponseController the deadlines and full duplex of the
// inner writer, neither of which writes.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answer is what the session package writes to: error answers and, when it was
// only to commit, nothing.
type answer struct{ gin.ResponseWriter }

// WriteHeader sends the status, as net/http does, and Gin's loggers see it.
func (a *answer) WriteHeader(status int) {
	a.ResponseWriter.WriteHeader(status)
	a.ResponseWriter.WriteHeaderNow()
}

// Write sends nothing for nothing: it would begin a response that handlers have
// yet to give a status.
func (a *answer) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
