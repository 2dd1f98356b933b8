package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/updateage/session/client"
)

func TestVerbs(t *testing.T) {
	type thing struct {
		Name string `json:"name"`
	}
	in := thing{"in"}
	var out thing
	for method, call := range map[string]func(*client.Client) error{
		"GET":    func(c *client.Client) error { return c.Get(t.Context(), "/things?x=1", &out) },
		"POST":   func(c *client.Client) error { return c.Post(t.Context(), "/things?x=1", in, &out) },
		"PUT":    func(c *client.Client) error { return c.Put(t.Context(), "/things?x=1", in, &out) },
		"PATCH":  func(c *client.Client) error { return c.Patch(t.Context(), "/things?x=1", in, &out) },
		"DELETE": func(c *client.Client) error { return c.Delete(t.Context(), "/things?x=1", &out) },
	} {
		out = thing{}
		c := at(func(r *http.Request) *http.Response {
			want, kind := `{"name":"in"}`, "application/json"
			if method == "GET" || method == "DELETE" {
				want, kind = "", ""
			}
			var body []byte
			if r.Body != nil {
				body, _ = io.ReadAll(r.Body)
			}
			if r.Method != method || r.URL.RequestURI() != "/things?x=1" || string(body) != want ||
				r.Header.Get("Content-Type") != kind || r.Header.Get("Accept") != "application/json" {
				t.Errorf("%s: the server got %s %s, %v, %s", method, r.Method, r.URL, r.Header, body)
			}
			return reply(200, `{"name":"out"}`)
		})
		if err := call(c); err != nil || out.Name != "out" {
			t.Errorf("%s: %+v, %v", method, out, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer *http.Response
		want   string // of the error; "": none
	}{
		{"no content", reply(204, "", "Content-Type: "), ""},
		{"nothing with 200", reply(200, ""), ""},
		{"JSON of another kind", reply(200, `{}`, "Content-Type: application/hal+json"), ""},
		{"an error page with status 200", reply(200, "<html>", "Content-Type: text/html; charset=utf-8"), `the answer is "text/html; charset=utf-8" and no JSON`},
		{"no type", reply(200, "{}", "Content-Type: "), "no JSON"},
		{"broken JSON", reply(200, `{"a":`), "decode the answer"},
		{"another type", reply(200, `{"a":"x"}`), "decode the answer"},
		{"too large", reply(200, `{"x":"`+strings.Repeat("x", 16<<20)+`"}`), "more than 16 MiB"},
		{"a redirect that leads nowhere", reply(304, ""), "304 Not Modified"},
	} {
		var out struct{ A int }
		err := at(func(*http.Request) *http.Response { return row.answer }).Get(t.Context(), "/x", &out)
		if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	if err := at(unreachable(t)).Post(t.Context(), "/", make(chan int), nil); err == nil {
		t.Error("a channel was encoded")
	}
}

func TestErrors(t *testing.T) {
	for _, row := range []struct {
		answer        *http.Response
		code, message string
		shown         string
	}{
		{reply(404, `{"code":"NOT_FOUND","message":"No such session"}`), "NOT_FOUND", "No such session", "client: GET /x: 404 NOT_FOUND: No such session"},
		{reply(401, `{"success":false,"error":"Invalid session"}`), "", "Invalid session", "client: GET /x: 401 Invalid session"},
		{reply(500, `{"code":7,"message":{"x":1},"error":["x"]}`), "", "Internal Server Error", "client: GET /x: 500 Internal Server Error"},
		{reply(502, `<html>secret page</html>`, "Content-Type: text/html"), "", "Bad Gateway", "client: GET /x: 502 Bad Gateway"},
		{reply(400, `{"message":"a\nb\t \u001b[2Jc\u202e"}`), "", "a b [2Jc", "client: GET /x: 400 a b [2Jc"},
		{reply(400, `{"message":"you sent `+tokenA+`"}`), "", "you sent [redacted]", "client: GET /x: 400 you sent [redacted]"},
		{reply(400, `{"message":"`+strings.Repeat("ä", 400)+`"}`), "", strings.Repeat("ä", 250), "client: GET /x: 400 " + strings.Repeat("ä", 250)},
		{reply(599, ``), "", "", "client: GET /x: 599 "},
	} {
		body, _ := io.ReadAll(row.answer.Body)
		row.answer.Body = io.NopCloser(bytes.NewReader(body))
		c := holding(t, at(func(*http.Request) *http.Response { return row.answer }), tokenA)
		err := fmt.Errorf("wrapped: %w", c.Get(t.Context(), "/x?secret=1", nil))
		var e *client.Error
		if !errors.As(err, &e) {
			t.Fatalf("error is %v", err)
		}
		if e.Status != row.answer.StatusCode || e.Code != row.code || e.Message != row.message || !bytes.Equal(e.Body, body) || e.Error() != row.shown {
			t.Errorf("error is %d %q %q, shown as %q, body %q", e.Status, e.Code, e.Message, e.Error(), e.Body)
		}
		if errors.Is(err, client.ErrNoSession) != (e.Status == 401) {
			t.Errorf("%d matches ErrNoSession: %t", e.Status, e.Status != 401)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for value, want := range map[string]time.Duration{
			"":                              0,
			"5":                             5 * time.Second,
			"0":                             0,
			"-5":                            0,
			"1.5":                           0,
			"soon":                          0,
			"99999999999999":                366 * 24 * time.Hour,
			"9999999999999999999999":        0,
			"Sat, 01 Jan 2000 00:01:30 GMT": 90 * time.Second,
			"Fri, 31 Dec 1999 23:59:59 GMT": 0,
		} {
			err := at(func(*http.Request) *http.Response { return reply(503, "", "Retry-After: "+value) }).Get(t.Context(), "/", nil)
			var e *client.Error
			if !errors.As(err, &e) || e.RetryAfter != want {
				t.Errorf("Retry-After %q is %v, want %v", value, err, want)
			}
		}
	})
}

// TestNothingShowsTheSession: under no verb, in no log, in no JSON, in no error.
func TestNothingShowsTheSession(t *testing.T) {
	memory := &client.Memory{}
	c := at(func(r *http.Request) *http.Response {
		return reply(418, `{"message":"you sent `+r.Header.Get("X-Session-ID")+`"}`, "Set-Cookie: sid="+tokenA)
	})
	c.Storage, c.Header = memory, http.Header{"X-Device-ID": {tokenA}}
	c.BaseURL = "https://user:" + tokenA + "@api.example.com"
	holding(t, c, tokenA)
	r, _ := http.NewRequest("GET", api, nil)
	r.Header.Set("X-Session-ID", tokenA)
	answered := c.Get(t.Context(), "/", nil)
	down := holding(t, at(func(*http.Request) *http.Response { return nil }), tokenA)
	down.OnExpired = func(context.Context) {}
	unreached := down.Get(t.Context(), "/", nil)
	broken := &client.Client{BaseURL: "https://user:" + tokenA + "@%zz"}
	var e *client.Error
	if !errors.As(answered, &e) || !bytes.Contains(e.Body, []byte(tokenA)) {
		t.Fatalf("the body has no session to hide: %v", answered)
	}
	for name, v := range map[string]any{
		"Client": c, "Transport": c.HTTP().Transport, "Memory": memory, "FromRequest": client.FromRequest(r),
		"File": &client.File{Path: "x"}, "Error": answered, "network error": unreached,
		"malformed URL": broken.Get(t.Context(), "/", nil), "Client of a malformed URL": broken,
		"in a struct": struct {
			C *client.Client
			S client.Storage
			e error
		}{c, memory, answered},
		"in unexported fields": struct {
			m *client.Memory
			t http.RoundTripper
			s client.Storage
		}{memory, holding(t, at(unreachable(t)), tokenA).HTTP().Transport, client.FromRequest(r)},
		"Watch": c.Watch(t.Context(), client.WatchOptions{}), "down": down,
	} {
		var shown strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			fmt.Fprintf(&shown, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&shown, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("json", "v", v)
		data, _ := json.Marshal(v)
		shown.Write(data)
		for _, form := range []string{tokenA, fmt.Sprintf("%x", tokenA), fmt.Sprintf("%d", []byte(tokenA))} {
			if strings.Contains(shown.String(), form) {
				t.Errorf("%s shows the session:\n%s", name, shown.String())
			}
		}
	}
}

// TestClientIsSharedByGoroutines: the first calls may come together.
func TestClientIsSharedByGoroutines(t *testing.T) {
	c := at(func(*http.Request) *http.Response { return reply(200, `{"session_id":"S"}`) })
	done := make(chan error)
	for range 10 {
		go func() { done <- c.Post(t.Context(), "/auth/login", nil, nil) }()
	}
	for range 10 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	wantStored(t, c, "S")
}

// TestHTTPClientIsNotChanged: it may be in use elsewhere.
func TestHTTPClientIsNotChanged(t *testing.T) {
	own := &http.Client{Transport: server(func(*http.Request) *http.Response { return reply(204, "") }), Timeout: time.Minute}
	c := &client.Client{BaseURL: api, HTTPClient: own}
	if err := c.Get(t.Context(), "/", nil); err != nil {
		t.Error(err)
	}
	if _, ok := own.Transport.(server); !ok || c.HTTP() == own || c.HTTP().Timeout != time.Minute {
		t.Errorf("transport is %T", own.Transport)
	}
	if plain := (&client.Client{BaseURL: api}).HTTP(); plain.Timeout != 30*time.Second {
		t.Errorf("timeout is %v", plain.Timeout)
	}
}
