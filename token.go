package session

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

// A token is 64 base64url characters, the encoding of 48 bytes:
//
//	tag 12 bits | rest of the ID 132 bits | secret 240 bits
//
// Its first 24 characters are the session ID. The ID is public: it is the
// store's key and what lists, events and URLs show. The other 40 characters are
// the secret, of which a store keeps the SHA-256 only. A leaked store therefore
// holds no usable token, and looking up by ID before comparing hashes in
// constant time leaves no timing oracle (ASVS 5.0 7.2.3, 11.2.4, 11.5.1).
const (
	tokenLen = 64
	idLen    = 24
	tagLen   = 2
)

const redacted = "[redacted]"

// Token is a session token, the credential itself. It redacts itself wherever
// it is printed, logged or encoded as JSON; Reveal is the one way out. The zero
// Token is no token.
//
// It holds a pointer because fmt asks no method of what is in an unexported
// field of somebody's struct, but does not follow pointers there either.
type Token struct{ t *token }

// Reveal returns the token's characters, to be handed to the client and to
// nobody else.
func (t Token) Reveal() string {
	if t.t == nil {
		return ""
	}
	return string(*t.t)
}

// String redacts the token.
func (t Token) String() string { return redacted }

// Format redacts the token under every verb.
func (t Token) Format(f fmt.State, _ rune) { show(f, redacted) }

// LogValue redacts the token.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText redacts the token, in JSON as well.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// show prints s for a Format method. Types with secrets have one, as String alone
// is not asked under verbs such as %d, which print the fields.
func show(f fmt.State, s string) { _, _ = io.WriteString(f, s) }

// token is a token within this package: one that validToken accepts, or "".
type token string

// id returns the session ID.
func (t token) id() string { return string(t[:idLen]) }

// hash returns the SHA-256 of the secret, as it stands in the token.
func (t token) hash() [sha256.Size]byte {
	var secret [tokenLen - idLen]byte // on the stack: no allocation per request
	copy(secret[:], t[idLen:])
	return sha256.Sum256(secret[:])
}

// matches says whether the hash is that of the secret.
func (t token) matches(hash *[sha256.Size]byte) bool {
	own := t.hash()
	return sameHash(&own, hash)
}

// newToken returns a token of a new session. The tag is the user's, or random
// for an anonymous session. crypto/rand never fails: it ends the program rather
// than return predictable bytes.
func newToken(userID string) token {
	var b [tokenLen / 4 * 3]byte
	rand.Read(b[:])
	if userID != "" {
		tag := userTag(userID)
		b[0] = tag[0]
		b[1] = tag[1]&0xf0 | b[1]&0x0f
	}
	return token(base64.RawURLEncoding.EncodeToString(b[:]))
}

// rotated returns a token of the same session with a new secret.
func rotated(id string) token { return token(id) + newToken("")[idLen:] }

// RoutingTag returns the two characters with which the session IDs of a user
// begin, for stores that keep a user's sessions together: the top 12 bits of a
// SHA-256 of the user ID. It links sessions of one user to whoever sees their
// IDs, with 4,095 of 4,096 other users excluded. The hash has no key, because
// such a key could never be changed.
func RoutingTag(userID string) string {
	tag := userTag(userID)
	return base64.RawURLEncoding.EncodeToString(tag[:])[:tagLen]
}

func userTag(userID string) [3]byte {
	sum := sha256.Sum256([]byte("github.com/updateage/session routing tag v1:" + userID))
	return [3]byte{sum[0], sum[1], sum[2]}
}

// validToken says whether s has the form of a token. What has not never
// reaches a store.
func validToken(s string) bool { return len(s) == tokenLen && isBase64URL(s) }

// validID says whether s has the form of a session ID.
func validID(s string) bool { return len(s) == idLen && isBase64URL(s) }

// isBase64URL looks every character up, without a branch for each: those of a
// token are random, and a branch on them is guessed wrong every other time.
func isBase64URL(s string) bool {
	var other byte
	for i := range len(s) {
		other |= notBase64URL[s[i]]
	}
	return other == 0
}

// notBase64URL is 1 for every byte that is not in the alphabet. It never changes.
var notBase64URL = func() (t [256]byte) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for c := range t {
		t[c] = 1
	}
	for _, c := range []byte(alphabet) {
		t[c] = 0
	}
	return t
}()

// sameHash compares in constant time.
func sameHash(a, b *[sha256.Size]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
