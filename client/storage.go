package client

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// DefaultKey is the key under which the session is kept, as in the published
// front-end clients.
const DefaultKey = "flowfull_session_id"

// OriginKey returns a key for the session of one server, for storages that several
// servers share: DefaultKey and the origin of the address. Of two addresses of one
// origin the keys are equal. An address that no Client accepts has a key as well.
func OriginKey(address string) string {
	origin, err := originOf(address)
	if err != nil {
		origin = "" // nothing is ever sent there
	}
	return DefaultKey + "@" + origin
}

// Storage keeps the session between requests, and between runs if it likes. It
// MUST be safe for concurrent use. What it keeps is a credential: an
// implementation MUST keep it from other users of the machine.
//
// It is asked before every request, so that programs which share a storage see
// each other's sign-ins.
type Storage interface {
	// Get returns the value of the key, and "" if there is none.
	Get(ctx context.Context, key string) (string, error)
	// Set keeps a value, which is never "".
	Set(ctx context.Context, key, value string) error
	// Remove removes the value. That there is none is no error.
	Remove(ctx context.Context, key string) error
}

// Swapper is a Storage that replaces values atomically. Without it, an answer to
// an old session may remove a new one that another process has put there within
// the same instant; inside one Client or Transport a lock prevents that.
type Swapper interface {
	// CompareAndSwap puts value in the place of old, and says whether old was
	// there. For both, "" means no value.
	CompareAndSwap(ctx context.Context, key, old, value string) (swapped bool, err error)
}

// put sets a value, or removes it if it is "".
func put(ctx context.Context, s Storage, key, value string) error {
	if value == "" {
		return s.Remove(ctx, key)
	}
	return s.Set(ctx, key, value)
}

// Memory keeps the session until the program ends. The zero Memory is empty; it
// is safe for concurrent use.
type Memory struct {
	mu sync.Mutex // guards values
	// values are pointers because fmt, given a wrong verb, prints what is in an
	// unexported field of somebody's struct without asking for Format; it does
	// not follow pointers there.
	values map[string]*string
}

var _ interface {
	Storage
	Swapper
} = (*Memory)(nil)

// Get returns the value of the key.
func (m *Memory) Get(_ context.Context, key string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.get(key), nil
}

// Set keeps a value.
func (m *Memory) Set(_ context.Context, key, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, value)
	return nil
}

// Remove removes a value.
func (m *Memory) Remove(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, "")
	return nil
}

// CompareAndSwap puts value in the place of old.
func (m *Memory) CompareAndSwap(_ context.Context, key, old, value string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.get(key) != old {
		return false, nil
	}
	m.put(key, value)
	return true, nil
}

// get is for callers that hold mu, as is put.
func (m *Memory) get(key string) string {
	if value := m.values[key]; value != nil {
		return *value
	}
	return ""
}

func (m *Memory) put(key, value string) {
	if value == "" {
		delete(m.values, key)
		return
	}
	if m.values == nil {
		m.values = make(map[string]*string)
	}
	m.values[key] = &value
}

// Format shows no value under any verb.
func (m *Memory) Format(f fmt.State, _ rune) { show(f, "client.Memory") }

// show prints s for a Format method. Types with secrets have one, as String alone
// is not asked under verbs such as %d, which print the fields.
func show(f fmt.State, s string) { _, _ = io.WriteString(f, s) }
