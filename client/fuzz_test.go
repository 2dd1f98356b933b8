package client_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/updateage/session/client"
)

// FuzzSignInBodyStaysWhole: whatever a server answers, nothing is stored that could
// not travel in a header, nothing that is not in the body, and the caller gets the
// body to the last byte.
func FuzzSignInBodyStaysWhole(f *testing.F) {
	for _, seed := range []string{
		`{"session_id":"S"}`, `{"data":{"sessionId":"S"}}`, `{"success":false,"session_id":"S"}`, `null`, `[]`, ``,
		`{"session_id":"a\r\nb"}`, `{"session_id":{"data":1},"data":{"session_id":"S"}}`, `{"data":null}`, `{"session_id":"\u0000"}`,
	} {
		f.Add([]byte(seed), "application/json")
	}
	f.Fuzz(func(t *testing.T, body []byte, kind string) {
		c := at(func(*http.Request) *http.Response { return reply(200, string(body), "Content-Type: "+kind) })
		req, _ := http.NewRequest("POST", api+"/auth/login", nil)
		res, err := c.HTTP().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if got, err := io.ReadAll(res.Body); err != nil || string(got) != string(body) {
			t.Fatalf("body is %q, %v, want %q", got, err, body)
		}
		id, err := c.SessionID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if id == "" {
			return
		}
		if strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`",;\`, r) }) {
			t.Errorf("stored %q", id)
		}
		var any any
		if err := json.Unmarshal(body, &any); err != nil {
			t.Errorf("stored %q of broken JSON", id)
		}
		if req, _ := http.NewRequest("GET", api, nil); req != nil {
			if _, err := c.HTTP().Do(req); err != nil {
				t.Errorf("%q cannot be sent: %v", id, err)
			}
		}
	})
}

// FuzzFileIsReadOrRefused: whatever is in the file, it is read as the JSON object
// that it is, or refused; a session can be stored afterwards in either case.
func FuzzFileIsReadOrRefused(f *testing.F) {
	for _, seed := range []string{`{"flowfull_session_id":"S"}`, `{}`, `null`, ``, `{"a":1}`, `{"a":"b"}x`, "{\"a\":\"\xff\"}", `{"a":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file := &client.File{Path: filepath.Join(t.TempDir(), "session.json")}
		if err := os.WriteFile(file.Path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := file.Get(t.Context(), client.DefaultKey)
		var want map[string]string
		readable := json.Unmarshal(content, &want) == nil && want != nil
		if (err == nil) != readable || got != want[client.DefaultKey] && readable || err != nil && got != "" {
			t.Errorf("Get = %q, %v of %q", got, err, content)
		}
		if err := file.Set(t.Context(), client.DefaultKey, tokenA); err != nil {
			t.Fatal(err)
		}
		if got, err := file.Get(t.Context(), client.DefaultKey); err != nil || got != tokenA {
			t.Errorf("after Set: %q, %v", got, err)
		}
		for key, value := range want {
			if kept, err := file.Get(t.Context(), key); readable && key != client.DefaultKey && (err != nil || kept != value) {
				t.Errorf("key %q was lost: %q, %v", key, kept, err)
			}
		}
	})
}

// FuzzCookiesOfOthersStay: dropping the session's cookie leaves all others, and no
// trace of it.
func FuzzCookiesOfOthersStay(f *testing.F) {
	for _, seed := range []string{"a=b", "session=x", "a=1; session=2; b=3", "session", ";;", "a=session=1", " session =1", `a="x; session=1"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var sent *http.Request
		c := at(func(r *http.Request) *http.Response { sent = r; return reply(204, "") })
		c.Cookie = "session"
		req, _ := http.NewRequest("GET", api, nil)
		req.Header["Cookie"] = []string{line}
		if _, err := c.HTTP().Do(req); err != nil {
			t.Skip() // no HTTP header
		}
		if found := sent.CookiesNamed("session"); len(found) > 0 {
			t.Errorf("%q became %q", line, sent.Header["Cookie"])
		}
		for _, cookie := range req.Cookies() {
			if cookie.Name != "session" && len(sent.CookiesNamed(cookie.Name)) == 0 {
				t.Errorf("%q lost %s: %q", line, cookie.Name, sent.Header["Cookie"])
			}
		}
	})
}
