package endpoints

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/updateage/session"
)

// problem is an error that is the client's business. What it says is generic;
// reasons are for the log (ASVS 5.0 16.5.1).
type problem struct {
	status  int
	code    string
	message string
}

// Error returns the message.
func (p *problem) Error() string { return "endpoints: " + p.message }

var (
	errBadJSON     = &problem{http.StatusBadRequest, "BAD_REQUEST", "Invalid JSON in request body"}
	errBadQuery    = &problem{http.StatusBadRequest, "BAD_REQUEST", "Invalid query"}
	errInvalid     = &problem{http.StatusBadRequest, "VALIDATION_ERROR", "Validation Error"}
	errTooLarge    = &problem{http.StatusRequestEntityTooLarge, "PAYLOAD_TOO_LARGE", "Payload Too Large"}
	errNotFresh    = &problem{http.StatusForbidden, "SESSION_NOT_FRESH", "Session is not fresh"}
	errCrossOrigin = &problem{http.StatusForbidden, "CROSS_ORIGIN", "Cross-origin request refused"}

	errMissingOrigin = &problem{http.StatusForbidden, "MISSING_OR_NULL_ORIGIN", "Missing or null Origin"}
	errInvalidOrigin = &problem{http.StatusForbidden, "INVALID_ORIGIN", "Invalid origin"}
	errCredentials   = &problem{http.StatusUnauthorized, "INVALID_EMAIL_OR_PASSWORD", "Invalid email or password"}

	errBridge  = &problem{http.StatusUnauthorized, "UNAUTHORIZED", "Unauthorized"}
	errExpired = &problem{http.StatusUnauthorized, "SESSION_EXPIRED", "Session expired"}
)

// problemOf returns the problem that has nothing more to say than its status.
func problemOf(status int) *problem {
	text := http.StatusText(status)
	if text == "" {
		text = "Client Closed Request" // 499, see session.Status
	}
	return &problem{status, strings.ToUpper(strings.ReplaceAll(text, " ", "_")), text}
}

// explain turns an error into what the client is told. What is nobody's answer
// is logged: the client learns only that something is wrong.
func (h *Handler) explain(r *http.Request, err error) *problem {
	var p *problem
	status := session.Status(err)
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, session.ErrNotFresh):
		return errNotFresh
	case status == http.StatusInternalServerError:
		h.log.LogAttrs(r.Context(), slog.LevelError, "session endpoint", slog.String("error", err.Error()))
	}
	return problemOf(status)
}

// fail answers with an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := h.explain(r, err)
	if p.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	h.answer(w, r, p.status, h.contract.body(p))
}

// answer sends JSON. What cannot be encoded is an error of the application's:
// all of the library's own can be.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	send(w, status, data)
}

// send sends an encoded answer and says whether it left.
func send(w http.ResponseWriter, status int, data []byte) error {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(data)))
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := w.Write(data)
	return err
}

// neverCached keeps an answer out of every cache, also those of HTTP/1.0.
func neverCached(header http.Header) {
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	if !slices.Contains(header["Vary"], "Cookie") {
		header.Add("Vary", "Cookie")
	}
}

// user returns the encoded user, or ErrNoSession if there is none any more.
func (h *Handler) user(ctx context.Context, id string) (json.RawMessage, error) {
	if h.opts.LoadUser == nil {
		return json.Marshal(map[string]string{"id": id})
	}
	u, err := h.opts.LoadUser(ctx, id)
	if errors.Is(err, session.ErrNotFound) {
		return nil, session.ErrNoSession
	}
	if err != nil {
		return nil, h.unavailable(ctx, "load user", err)
	}
	data, err := json.Marshal(u)
	if string(data) == "null" {
		return nil, session.ErrNoSession
	}
	return data, err
}

// unavailable is what becomes of an error of the application's: 503 and a line
// in the log, unless only the client hung up.
func (h *Handler) unavailable(ctx context.Context, verb string, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	h.log.LogAttrs(ctx, slog.LevelError, "session endpoint: "+verb, slog.String("error", err.Error()))
	return session.ErrUnavailable
}
