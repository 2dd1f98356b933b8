package gateway

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// fetchTimeout is how long a fetch of keys may take.
	fetchTimeout = 5 * time.Second
	// fetchPause is the least time between two of them: neither an issuer that
	// is down nor forged key IDs make more.
	fetchPause = 5 * time.Second
	// maxJWKS is more than a key set of ours has.
	maxJWKS = 64 << 10

	defaultRefreshAfter = 5 * time.Minute
	defaultStaleFor     = time.Hour
)

// fixedKeys are keys by ID.
type fixedKeys map[string]*jose.JSONWebKey

func newFixedKeys(list []ed25519.PublicKey) (fixedKeys, error) {
	keys := make(fixedKeys)
	for i, public := range list {
		if len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("gateway: Keys: %d is no Ed25519 key", i)
		}
		keys.add(jose.JSONWebKey{Key: public, KeyID: thumbprint(public)})
	}
	return keys, nil
}

func (keys fixedKeys) add(k jose.JSONWebKey) { keys[k.KeyID] = &k }

func (keys fixedKeys) find(_ context.Context, id string) (*jose.JSONWebKey, error) {
	if key := keys[id]; key != nil {
		return key, nil
	}
	return nil, errUnknownKey
}

var errUnknownKey = fmt.Errorf("%w: unknown key", ErrAssertion)

// remoteKeys are an issuer's keys, fetched when a request needs them.
type remoteKeys struct {
	url                    string
	client                 *http.Client
	refreshAfter, staleFor time.Duration
	log                    *slog.Logger

	known atomic.Pointer[fetched]

	mu     sync.Mutex // guards what follows
	last   time.Time  // when the last fetch began; zero: never
	flight *flight    // the fetch under way; nil: there is none
}

// flight is a fetch under way.
type flight struct {
	ended   chan struct{} // closed when it has
	overdue bool          // nothing was fetched for so long that nobody knows how the issuer is
}

// fetched is a key set and when it was asked for.
type fetched struct {
	keys fixedKeys
	at   time.Time
}

func newRemoteKeys(cfg VerifierConfig) *remoteKeys {
	r := &remoteKeys{
		url: cfg.JWKS, client: cfg.Client, refreshAfter: cfg.RefreshAfter, staleFor: cfg.StaleFor, log: cfg.Logger,
	}
	if r.refreshAfter == 0 {
		r.refreshAfter = defaultRefreshAfter
	}
	if r.staleFor == 0 {
		r.staleFor = defaultStaleFor
	}
	if r.client == nil {
		r.client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return r
}

// find returns a known key at once, also if it is due for a refresh, which then
// goes on in the background. Two wait for a fetch: a key that is not known, and
// one that is overdue because no request came that would have noticed. It may
// have been withdrawn, of which no failed fetch has told.
func (r *remoteKeys) find(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	now := time.Now()
	set := r.usable(now)
	key := set.key(id)
	if key != nil && now.Sub(set.at) < r.refreshAfter {
		return key, nil
	}
	flight := r.fetch()
	if key != nil && (flight == nil || !flight.overdue) {
		return key, nil
	}
	if flight != nil {
		select {
		case <-flight.ended:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrKeys, context.Cause(ctx)) // fails closed
		}
		set = r.usable(time.Now())
	}
	if set == nil {
		return nil, ErrKeys // fails closed
	}
	if key := set.key(id); key != nil {
		return key, nil
	}
	return nil, errUnknownKey
}

// usable returns the known keys if they are not too old, or nil.
func (r *remoteKeys) usable(now time.Time) *fetched {
	if set := r.known.Load(); set != nil && now.Sub(set.at) < r.staleFor {
		return set
	}
	return nil
}

func (set *fetched) key(id string) *jose.JSONWebKey {
	if set == nil {
		return nil
	}
	return set.keys[id]
}

// fetch returns the fetch under way, or begins one. It returns nil if the last
// one was only a moment ago.
func (r *remoteKeys) fetch() *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		return r.flight
	}
	now := time.Now()
	if !r.last.IsZero() && now.Sub(r.last) < fetchPause {
		return nil
	}
	f := &flight{ended: make(chan struct{}), overdue: now.Sub(r.last) >= 2*r.refreshAfter}
	r.last, r.flight = now, f
	go func() {
		defer close(f.ended)
		r.run(now)
	}()
	return f
}

// run fetches the keys. It belongs to no request: others wait for it as well.
func (r *remoteKeys) run(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	keys, err := r.get(ctx)
	if err != nil {
		r.log.WarnContext(ctx, "gateway: fetch keys", "error", err)
	} else {
		r.known.Store(&fetched{keys, now})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight = nil
}

func (r *remoteKeys) get(ctx context.Context) (fixedKeys, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("issuer answers %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err != nil {
		return nil, err
	}
	return parseJWKS(text)
}

// parseJWKS returns the keys that can have signed an assertion. Others are none
// of our business (RFC 7517, 5); without any the answer is not the issuer's.
func parseJWKS(text []byte) (fixedKeys, error) {
	if len(text) > maxJWKS {
		return nil, errors.New("key set is too long")
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	keys := make(fixedKeys)
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || !signs(&k) {
			continue
		}
		if keys[k.KeyID] != nil {
			return nil, errors.New("key set: two keys have one ID")
		}
		keys.add(k)
	}
	if len(keys) == 0 {
		return nil, errors.New("key set has no Ed25519 key")
	}
	return keys, nil
}

// signs says whether a key is a public Ed25519 key with an ID, for signatures.
func signs(k *jose.JSONWebKey) bool {
	_, ed := k.Key.(ed25519.PublicKey)
	return ed && k.KeyID != "" && (k.Use == "" || k.Use == "sig") && (k.Algorithm == "" || k.Algorithm == string(jose.EdDSA))
}

// loopback says whether a host is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() || strings.EqualFold(host, "localhost")
}
