package client

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// incoming does what an answer says about the session: keep another one, remove
// it, or nothing.
func (t *Transport) incoming(req *http.Request, res *http.Response, rec *record) error {
	found, gone, err := t.find(req, res, rec)
	if err != nil {
		return err
	}
	unauthorized := res.StatusCode == http.StatusUnauthorized
	refused := unauthorized || res.StatusCode >= 400 && t.signsIn(req)
	switch {
	case rec.signIn: // SignIn stores it, once it is sure that the whole is a success
		if found != "" || gone {
			rec.found = found
		}
	case found != "" && !refused:
		return t.store(req, rec, found)
	case rec.sent == "" || optionsOf(req.Context()).keep || !gone && !unauthorized:
	case unauthorized || !unsafeMethod(req.Method):
		t.expire(req.Context(), rec.sent)
	default:
		// The cookie was deleted by a request that changes something: the
		// application's own sign-out, which is no expiry.
		ctx, cancel := detached(req.Context())
		defer cancel()
		if removed, _ := t.swap(ctx, rec.sent, ""); removed {
			t.bell.ring()
		}
	}
	return nil
}

// store keeps the session of an answer in the place of the one that was sent: an
// answer that comes late must not replace the session of a sign-in that was
// meanwhile.
func (t *Transport) store(req *http.Request, rec *record, found string) error {
	ctx, cancel := detached(req.Context()) // the answer is here: a caller that goes away must not lose it
	defer cancel()
	swapped, err := t.swap(ctx, rec.sent, found)
	if swapped {
		rec.now = found
	}
	// Another secret of the same session is no news, and a Watch that was told
	// of those it gets itself would never rest.
	if swapped && found != rec.sent && (rec.sent == "" || t.signsIn(req)) {
		t.bell.ring()
	}
	if err != nil && rec.sent == "" {
		return fmt.Errorf("client: store the session: %w", err)
	}
	// A changed secret that was not stored is no reason to hide the answer: the
	// old one still reads, and the server sends another as if this were lost.
	return nil
}

// find looks for a session in an answer, and for the deletion of its cookie. A
// cookie counts on every answer, as refreshing sends it; a header on answers to
// what changes something; the body only on sign-in, because elsewhere a field of
// that name can be anything.
func (t *Transport) find(req *http.Request, res *http.Response, rec *record) (found string, gone bool, err error) {
	if t.Cookie != "" {
		found, gone = cookieOf(res, t.Cookie)
	}
	if found == "" && unsafeMethod(req.Method) {
		found = res.Header.Get(headerSessionID)
	}
	if rec.signIn || found == "" && t.signsIn(req) {
		inBody, denied, err := bodyOf(res)
		if err != nil || denied && rec.signIn {
			return "", true, err // whatever else came along, such as a visitor's cookie
		}
		found = cmp.Or(found, inBody)
	}
	if !validSession(found) {
		found = ""
	}
	return found, gone && found == "", nil
}

// signsIn says whether the answer to a request may have a session in its body.
func (t *Transport) signsIn(req *http.Request) bool {
	rest, ok := strings.CutPrefix(req.URL.Path, strings.TrimSuffix(cmp.Or(t.AuthPath, "/auth"), "/"))
	return ok && req.Method == http.MethodPost && strings.HasPrefix(rest, "/")
}

// cookieOf returns the value of the cookie that an answer sets, or whether it
// deletes it. Of several the last counts, as in a browser.
func cookieOf(res *http.Response, name string) (value string, gone bool) {
	for _, c := range res.Cookies() {
		if c.Name == name {
			value, gone = c.Value, c.MaxAge < 0 || c.Value == "" || isPast(c)
		}
	}
	if gone {
		return "", true
	}
	return value, false
}

// isPast says whether a cookie's date has gone by. Max-Age would go before it.
func isPast(c *http.Cookie) bool {
	return c.MaxAge == 0 && !c.Expires.IsZero() && c.Expires.Before(time.Now())
}

// maxSignIn is how much of an answer to a sign-in is searched. A larger one
// passes, and has no session.
const maxSignIn = 64 << 10

// bodyOf returns the session in the body of a successful sign-in, and whether the
// body denies the success. It leaves the body to be read again.
func bodyOf(res *http.Response) (found string, denied bool, err error) {
	if res.StatusCode/100 != 2 || !isJSON(res.Header) || res.Header.Get("Content-Encoding") != "" {
		return "", false, nil
	}
	head, err := io.ReadAll(io.LimitReader(res.Body, maxSignIn+1))
	if err != nil {
		return "", false, fmt.Errorf("client: read the answer: %w", err)
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), res.Body), res.Body}
	if len(head) > maxSignIn {
		return "", false, nil
	}
	found, denied = sessionIn(head, true)
	return found, denied, nil
}

// sessionIn returns the session in a body: session_id or sessionId, at the top or
// in data; and whether success is false there. Maps and not structs, whose fields
// encoding/json also finds under names in other letters.
func sessionIn(body []byte, top bool) (found string, denied bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return "", false
	}
	if string(fields["success"]) == "false" {
		return "", true
	}
	for _, name := range [...]string{"session_id", "sessionId"} {
		var value string
		if json.Unmarshal(fields[name], &value) == nil && value != "" {
			return value, false
		}
	}
	if !top {
		return "", false
	}
	return sessionIn(fields["data"], false)
}

// isJSON says whether a body is declared to be JSON.
func isJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}
