package benchmarks

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The floor is the least that a session takes if it is to be safe: a scan for
// the cookie, a check of its form, SHA-256 of the secret, a locked map in shards,
// a comparison in constant time, the expiry, a node in the context, a copy of the
// request, a writer that commits before the first byte, Vary and Cache-Control.
// It has one kind of record, no refresh, no events, no hijacking, no errors but
// one: whoever asks more of it pays more.

const (
	floorShards = 256
	floorID     = 24
	floorToken  = 64
	floorLife   = 7 * 24 * time.Hour
)

// floorStore is where the floor keeps its records.
type floorStore interface {
	load(ctx context.Context, id string) (*floorRecord, error)
	create(ctx context.Context, r *floorRecord) error
	set(ctx context.Context, r *floorRecord, changes []floorValue) error
	remove(ctx context.Context, id string) error
}

// floorRecord is immutable.
type floorRecord struct {
	id      string
	user    string
	hash    [sha256.Size]byte
	expires int64 // milliseconds since 1970
	values  []floorValue
}

type floorValue struct {
	key  string
	data []byte // JSON
}

// with returns the record with some values changed.
func (r *floorRecord) with(changes []floorValue) *floorRecord {
	next := *r
	next.values = make([]floorValue, len(r.values), len(r.values)+len(changes))
	copy(next.values, r.values)
	for _, c := range changes {
		next.put(c)
	}
	return &next
}

func (r *floorRecord) put(c floorValue) {
	for i := range r.values {
		if r.values[i].key == c.key {
			r.values[i].data = c.data
			return
		}
	}
	r.values = append(r.values, c)
}

var errFloor = errors.New("floor: no session")

// floorExchange is context node and writer of one request.
type floorExchange struct {
	context.Context
	w     http.ResponseWriter
	store floorStore
	rec   *floorRecord
	begun bool

	changes []floorValue
	cookie  string
	failure error
}

type floorKey struct{}

func (x *floorExchange) Value(key any) any {
	if key == any(floorKey{}) {
		return x
	}
	return x.Context.Value(key)
}

func (x *floorExchange) Header() http.Header { return x.w.Header() }

func (x *floorExchange) WriteHeader(status int) {
	if x.begin() == nil {
		x.w.WriteHeader(status)
	}
}

func (x *floorExchange) Write(b []byte) (int, error) {
	if err := x.begin(); err != nil {
		return 0, err
	}
	return x.w.Write(b)
}

func (x *floorExchange) Unwrap() http.ResponseWriter { return x.w }

var (
	floorVary    = []string{"Cookie"}
	floorPrivate = []string{"private"}
	floorNoStore = []string{"no-store"}
)

// begin commits once.
func (x *floorExchange) begin() error {
	if x.begun {
		return x.failure
	}
	x.begun = true
	if len(x.changes) > 0 {
		x.failure = x.store.set(x.Context, x.rec, x.changes)
	}
	h := x.w.Header()
	h["Vary"] = floorVary
	switch {
	case x.failure != nil:
		http.Error(x.w, "session is gone", http.StatusUnauthorized)
	case x.cookie != "":
		h["Cache-Control"] = floorNoStore
		h["Set-Cookie"] = append(h["Set-Cookie"], x.cookie)
	case x.rec != nil:
		h["Cache-Control"] = floorPrivate
	}
	return x.failure
}

// floorMiddleware is the floor around a handler.
func floorMiddleware(store floorStore) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			x := &floorExchange{Context: r.Context(), w: w, store: store}
			rec, err := floorFind(r, store)
			if err != nil {
				http.Error(w, "store is unavailable", http.StatusServiceUnavailable)
				return
			}
			x.rec = rec
			next.ServeHTTP(x, r.WithContext(x))
			_ = x.begin()
		})
	}
}

// floorFind returns the record that the request's cookie authenticates, or nil.
func floorFind(r *http.Request, store floorStore) (*floorRecord, error) {
	token := floorCookie(r.Header["Cookie"])
	if token == "" {
		return nil, nil
	}
	rec, err := store.load(r.Context(), token[:floorID])
	if err != nil || rec == nil {
		return nil, err
	}
	var secret [floorToken - floorID]byte
	copy(secret[:], token[floorID:])
	hash := sha256.Sum256(secret[:])
	if subtle.ConstantTimeCompare(hash[:], rec.hash[:]) != 1 || rec.expires <= time.Now().UnixMilli() {
		return nil, nil
	}
	return rec, nil
}

// floorCookie returns the token in the cookie, or "" if it has no such form.
func floorCookie(lines []string) string {
	for _, line := range lines {
		for more := true; more; {
			var pair string
			pair, line, more = strings.Cut(line, ";")
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if name == "session" && floorValid(value) {
				return value
			}
		}
	}
	return ""
}

func floorValid(token string) bool {
	if len(token) != floorToken {
		return false
	}
	for i := range len(token) {
		switch c := token[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func floorFrom(r *http.Request) *floorExchange {
	x, _ := r.Context().Value(floorKey{}).(*floorExchange)
	return x
}

func (x *floorExchange) user() string {
	if x.rec == nil {
		return ""
	}
	return x.rec.user
}

func (x *floorExchange) value(key string) (text string) {
	for _, v := range x.rec.values {
		if v.key == key && json.Unmarshal(v.data, &text) == nil {
			return text
		}
	}
	return ""
}

func (x *floorExchange) set(key, value string) error {
	if x.rec == nil || x.begun {
		return errFloor
	}
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	x.changes = append(x.changes, floorValue{key, data})
	return nil
}

func (x *floorExchange) signIn(user string) error {
	var random [floorToken / 4 * 3]byte
	rand.Read(random[:])
	token := base64.RawURLEncoding.EncodeToString(random[:])
	x.rec = &floorRecord{
		id: strings.Clone(token[:floorID]), user: user, hash: sha256.Sum256([]byte(token[floorID:])),
		expires: time.Now().Add(floorLife).UnixMilli(),
	}
	cookie := http.Cookie{
		Name: "session", Value: token, Path: "/", MaxAge: int(floorLife.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	x.cookie = cookie.String()
	return x.store.create(x.Context, x.rec)
}

func (x *floorExchange) signOut() error {
	if x.rec == nil {
		return nil
	}
	x.cookie = (&http.Cookie{Name: "session", Path: "/", MaxAge: -1}).String()
	return x.store.remove(x.Context, x.rec.id)
}

// floorMemory is a map in shards, with an index of users in shards.
type floorMemory struct {
	shards [floorShards]floorShard[*floorRecord]
	users  [floorShards]floorShard[[]string]
	meter  *meter
}

type floorShard[T any] struct {
	mu sync.RWMutex
	m  map[string]T // guarded by mu
	_  [32]byte     // to a cache line: shards do not slow each other down
}

func newFloorMemory(count *meter) *floorMemory {
	s := &floorMemory{meter: count}
	for i := range floorShards {
		s.shards[i].m = make(map[string]*floorRecord)
		s.users[i].m = make(map[string][]string)
	}
	return s
}

func (s *floorMemory) shard(id string) *floorShard[*floorRecord] {
	return &s.shards[uint8(id[floorID-1]<<2^id[floorID-2])]
}

func (s *floorMemory) userShard(user string) *floorShard[[]string] {
	var h uint8
	for i := range len(user) {
		h = h*31 + user[i]
	}
	return &s.users[h]
}

func (s *floorMemory) load(_ context.Context, id string) (*floorRecord, error) {
	s.meter.read()
	sh := s.shard(id)
	sh.mu.RLock()
	r := sh.m[id]
	sh.mu.RUnlock()
	return r, nil
}

func (s *floorMemory) create(_ context.Context, r *floorRecord) error {
	_ = s.meter.write(nil)
	u := s.userShard(r.user)
	u.mu.Lock()
	defer u.mu.Unlock()
	sh := s.shard(r.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.m[r.id] = r
	u.m[r.user] = append(u.m[r.user], r.id)
	return nil
}

// set changes values of what is there now: what other requests wrote stays,
// and a session that has ended stays ended.
func (s *floorMemory) set(_ context.Context, r *floorRecord, changes []floorValue) error {
	_ = s.meter.write(nil)
	sh := s.shard(r.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	current := sh.m[r.id]
	if current == nil {
		return errFloor
	}
	sh.m[r.id] = current.with(changes)
	return nil
}

func (s *floorMemory) remove(_ context.Context, id string) error {
	_ = s.meter.write(nil)
	sh := s.shard(id)
	sh.mu.Lock()
	r := sh.m[id]
	delete(sh.m, id)
	sh.mu.Unlock()
	if r != nil {
		s.forget(r.user, id)
	}
	return nil
}

func (s *floorMemory) forget(user, id string) {
	u := s.userShard(user)
	u.mu.Lock()
	defer u.mu.Unlock()
	ids := u.m[user]
	for i := range ids {
		if ids[i] == id {
			u.m[user] = append(ids[:i:i], ids[i+1:]...)
		}
	}
	if len(u.m[user]) == 0 {
		delete(u.m, user)
	}
}

// list returns the user's sessions.
func (s *floorMemory) list(user string) (records []*floorRecord) {
	u := s.userShard(user)
	u.mu.RLock()
	defer u.mu.RUnlock()
	now := time.Now().UnixMilli()
	for _, id := range u.m[user] {
		if r, _ := s.load(context.Background(), id); r != nil && r.expires > now {
			records = append(records, r)
		}
	}
	return records
}

// revoke ends the user's sessions.
func (s *floorMemory) revoke(user string) (n int) {
	u := s.userShard(user)
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range u.m[user] {
		sh := s.shard(id)
		sh.mu.Lock()
		if sh.m[id] != nil {
			n++
			delete(sh.m, id)
		}
		sh.mu.Unlock()
	}
	delete(u.m, user)
	return n
}
