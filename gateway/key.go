package gateway

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is a signing key. Its ID is its thumbprint (RFC 7638), so that all nodes
// that share it agree on it.
type Key struct {
	// Private is the Ed25519 key.
	Private ed25519.PrivateKey `json:"-"`
	// SignFrom is when the key begins to sign. Until then it is published only,
	// so that services know it when it does. Zero: at once.
	SignFrom time.Time
}

// NewKey returns a random key that signs at once.
func NewKey() Key {
	// Without an io.Reader it never fails: it ends the program rather.
	_, private, _ := ed25519.GenerateKey(nil)
	return Key{Private: private}
}

// ParseKey returns the key in a PEM file, as "openssl genpkey -algorithm ed25519"
// writes it. The error does not contain it.
func ParseKey(pemText []byte) (Key, error) {
	block, rest := pem.Decode(pemText)
	if block == nil || block.Type != "PRIVATE KEY" || len(strings.TrimSpace(string(rest))) > 0 {
		return Key{}, errors.New("gateway: parse key: not one PEM block of type PRIVATE KEY")
	}
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return Key{}, errors.New("gateway: parse key: not PKCS #8")
	}
	ed, ok := private.(ed25519.PrivateKey)
	if !ok {
		return Key{}, fmt.Errorf("gateway: parse key: %T, not Ed25519", private)
	}
	return Key{Private: ed}, nil
}

// Public returns the public key, for services with fixed keys.
func (k Key) Public() ed25519.PublicKey {
	if len(k.Private) != ed25519.PrivateKeySize {
		return nil
	}
	return k.Private.Public().(ed25519.PublicKey)
}

// ID returns the key's ID, the kid of what it signs, or "" without a key.
func (k Key) ID() string {
	public := k.Public()
	if public == nil {
		return ""
	}
	return thumbprint(public)
}

func thumbprint(public ed25519.PublicKey) string {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "" // it fails for other kinds of keys
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// String shows the key's ID.
func (k Key) String() string { return "key " + k.ID() }

// Format shows the key's ID under every verb.
func (k Key) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue shows the key's ID.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
