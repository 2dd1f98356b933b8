// Package keyring keeps a client's session in the keyring of the operating
// system, where other users of the machine and copies of the disk do not find it:
//
//	api := &client.Client{BaseURL: "https://api.example.com", Storage: &keyring.Storage{Service: "my-tool"}}
//
// That is the Keychain on macOS, the Credential Manager on Windows, and elsewhere
// the Secret Service, as GNOME Keyring and KWallet offer it. Where there is none,
// as on most servers, every call fails; [client.File] needs none.
//
// Other programs of the same user can read it, unless the system asks the user.
package keyring

import (
	"context"
	"errors"
	"fmt"

	"github.com/updateage/session/client"
	"github.com/zalando/go-keyring"
)

// Storage keeps sessions in the keyring, under a service and, as the name of the
// account, the key. It is safe for concurrent use.
//
// It is asked before every request, which takes some milliseconds. A keyring that
// is locked asks its user to unlock it and waits for him, whatever the context
// says: the operating systems offer no way back. Keyrings cannot compare and swap,
// see [client.Swapper].
//
// Windows keeps values of up to 2,560 bytes, macOS of about 3,000; sessions of
// this project are far shorter.
type Storage struct {
	// Service is the name under which the keyring shows the entry: that of the
	// application.
	Service string
}

var _ client.Storage = (*Storage)(nil)

// Get returns the value of the key.
func (s *Storage) Get(ctx context.Context, key string) (string, error) {
	if err := s.ready(ctx); err != nil {
		return "", fmt.Errorf("client/keyring: read: %w", err)
	}
	value, err := keyring.Get(s.Service, key)
	if errors.Is(err, keyring.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("client/keyring: read: %w", err)
	}
	return value, nil
}

// Set keeps a value.
func (s *Storage) Set(ctx context.Context, key, value string) error {
	err := s.ready(ctx)
	if err == nil {
		err = keyring.Set(s.Service, key, value)
	}
	if err != nil {
		return fmt.Errorf("client/keyring: write: %w", err)
	}
	return nil
}

// Remove removes a value.
func (s *Storage) Remove(ctx context.Context, key string) error {
	err := s.ready(ctx)
	if err == nil {
		err = keyring.Delete(s.Service, key)
	}
	if err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return fmt.Errorf("client/keyring: remove: %w", err)
	}
	return nil
}

func (s *Storage) ready(ctx context.Context) error {
	if s.Service == "" {
		return errors.New("no Service is set")
	}
	return ctx.Err()
}
