package redisstore_test

import (
	"encoding/hex"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/internal/servers"
)

// The program in docs/redis.md is run as it stands there.
func TestProgramInTheDocumentationReadsASession(t *testing.T) {
	server := servers.StartRedis(t)
	servers.Need(t, "redis-cli", "redis-tools")
	python := servers.Need(t, "python3", "python3")
	store := newStore(t, single(t, server), nil)
	r := create(t, store, "user 𝄞 {a}:b", func(r *session.Record) {
		r.Method, r.DeviceID, r.Level, r.Persistent = "passkey", "device ü", session.AAL2, true
		r.RotatedAt = r.CreatedAt.Add(time.Second)
		r.Values = values(t, set("cart", `{"items":[1,2,"ü"]}`), set("empty", "null"), set("lines\n", `"a\nb"`))
	})
	host, port, err := net.SplitHostPort(server.Addr)
	must(t, err)
	output, err := exec.Command(python, "-c", documented(t, "python"), host, port, r.ID).Output()
	must(t, err)

	var got struct {
		State           string         `json:"state"`
		Persistent      bool           `json:"persistent"`
		Level           int            `json:"level"`
		Version         uint64         `json:"version"`
		ExpiresAt       int64          `json:"expires_at"`
		UpdatedAt       int64          `json:"updated_at"`
		CreatedAt       int64          `json:"created_at"`
		AuthenticatedAt int64          `json:"authenticated_at"`
		RotatedAt       int64          `json:"rotated_at"`
		PreviousUntil   int64          `json:"previous_until"`
		ExpiresIn       int64          `json:"expires_in"`
		TokenHash       string         `json:"token_hash"`
		UserID          string         `json:"user_id"`
		IPAddress       string         `json:"ip_address"`
		UserAgent       string         `json:"user_agent"`
		DeviceID        string         `json:"device_id"`
		Method          string         `json:"method"`
		Values          map[string]any `json:"values"`
	}
	must(t, json.Unmarshal(output, &got))
	for field, pair := range map[string][2]any{
		"state":            {got.State, "signed in"},
		"persistent":       {got.Persistent, true},
		"level":            {got.Level, 2},
		"version":          {got.Version, r.Version},
		"expires_at":       {got.ExpiresAt, r.ExpiresAt.UnixMilli()},
		"updated_at":       {got.UpdatedAt, r.UpdatedAt.UnixMilli()},
		"created_at":       {got.CreatedAt, r.CreatedAt.UnixMilli()},
		"authenticated_at": {got.AuthenticatedAt, r.AuthenticatedAt.UnixMilli()},
		"rotated_at":       {got.RotatedAt, r.RotatedAt.UnixMilli()},
		"previous_until":   {got.PreviousUntil, int64(0)},
		"expires_in":       {got.ExpiresIn, life.Milliseconds()},
		"token_hash":       {got.TokenHash, hex.EncodeToString(r.TokenHash[:])},
		"user_id":          {got.UserID, r.UserID},
		"ip_address":       {got.IPAddress, r.IPAddress},
		"user_agent":       {got.UserAgent, r.UserAgent},
		"device_id":        {got.DeviceID, r.DeviceID},
		"method":           {got.Method, r.Method},
		"number of values": {len(got.Values), 3},
		"null":             {got.Values["empty"], nil},
		"lines":            {got.Values["lines\n"], "a\nb"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %v, want %v", field, pair[0], pair[1])
		}
	}
	cart, err := json.Marshal(got.Values["cart"])
	must(t, err)
	if want := `{"items":[1,2,"ü"]}`; string(cart) != want {
		t.Errorf("cart: got %s, want %s", cart, want)
	}

	output, err = exec.Command(python, "-c", documented(t, "python"), host, port, newID("")).Output()
	must(t, err)
	if got := strings.TrimSpace(string(output)); got != "null" {
		t.Errorf("unknown session: got %s, want null", got)
	}
}

// documented returns the code block of a language in docs/redis.md.
func documented(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/redis.md")
	must(t, err)
	_, code, ok := strings.Cut(string(text), "```"+language+"\n")
	code, _, ended := strings.Cut(code, "```")
	if !ok || !ended {
		t.Fatalf("docs/redis.md has no code block in %s", language)
	}
	return code
}
