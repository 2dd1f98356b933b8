package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ErrNoSession reports that nobody is signed in: no session is stored, or the
// server says that the stored one is over. An *Error of that server with status 401 matches it.
var ErrNoSession = errors.New("client: no session")

// Error is an answer with a status that is no success. Find it with errors.As:
//
//	var e *client.Error
//	if errors.As(err, &e) && e.Code == "SESSION_NOT_FRESH" { ... }
type Error struct {
	// Method and Path are those of the request.
	Method, Path string
	// Status is the HTTP status.
	Status int
	// Code is the answer's "code", such as NOT_FOUND. "" if it has none.
	Code string
	// Message is the answer's "message", or else its "error", or else the text
	// of the status. It is what the server says: escape it.
	Message string
	// RetryAfter is how long the server asks to be left alone. 0: it does not say.
	RetryAfter time.Duration
	// Body is the beginning of the answer, at most 64 KiB. No String, Format or
	// LogValue shows it.
	Body []byte `json:"-"`

	elsewhere bool // see record
}

// Error shows request, status, code and message.
func (e *Error) Error() string {
	what := strings.Trim(e.Code+": "+e.Message, ": ")
	return fmt.Sprintf("client: %s %s: %d %s", e.Method, e.Path, e.Status, what)
}

// Is says whether target is ErrNoSession and the status is 401. The 401 of
// another server, to which a redirect has led, says nothing about the session.
func (e *Error) Is(target error) bool {
	return target == ErrNoSession && e.Status == http.StatusUnauthorized && !e.elsewhere
}

// Format shows Error under every verb, and so never the body.
func (e *Error) Format(f fmt.State, _ rune) { show(f, e.Error()) }

// LogValue shows Error in a log.
func (e *Error) LogValue() slog.Value { return slog.StringValue(e.Error()) }

const (
	// maxErrorBody is how much of an answer an Error keeps.
	maxErrorBody = 64 << 10
	// maxMessage is how much of it is a message.
	maxMessage = 500
)

// errorOf returns the Error of an answer.
func errorOf(method, path string, res *http.Response, rec *record) *Error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxErrorBody)) // what has arrived is more than nothing
	e := &Error{Method: method, Path: path, Status: res.StatusCode, Body: body, elsewhere: rec.elsewhere}
	e.RetryAfter = retryAfter(res.Header, time.Now())
	var said struct {
		Code    any `json:"code"`
		Message any `json:"message"`
		Error   any `json:"error"`
	}
	if isJSON(res.Header) && json.Unmarshal(body, &said) == nil {
		e.Code = text(said.Code, rec.sent)
		e.Message = text(said.Message, rec.sent)
		if e.Message == "" {
			e.Message = text(said.Error, rec.sent)
		}
	}
	if e.Message == "" {
		e.Message = http.StatusText(res.StatusCode)
	}
	return e
}

// text returns what an answer says: on one line, without what moves a terminal's
// cursor, and without the session, which a server could echo.
func text(said any, sent string) string {
	s, _ := said.(string)
	if sent != "" {
		s = strings.ReplaceAll(s, sent, "[redacted]")
	}
	s = strings.Map(printable, strings.Join(strings.Fields(s), " "))
	return strings.ToValidUTF8(s[:min(len(s), maxMessage)], "")
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return -1
}

// retryAfter reads Retry-After in both forms (RFC 9110 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	const most = 366 * 24 * time.Hour // far from what a Duration cannot hold
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(most/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), most)
	}
	return 0
}
