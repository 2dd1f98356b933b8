package session

import (
	"context"
	"errors"
	"time"
)

// What a [Store] answers. Stores return these errors or errors that wrap them;
// everything else a store returns means that the store could not be asked.
var (
	// ErrNotFound reports that no record has the ID, or that it belongs to another user.
	ErrNotFound = errors.New("session: not found")
	// ErrExists reports that Create found another record under the same ID.
	ErrExists = errors.New("session: record exists")
	// ErrConflict reports that the stored record has another version than the caller expected.
	ErrConflict = errors.New("session: record was changed meanwhile")
	// ErrUnreadable reports a stored record that this version of the library cannot decode.
	ErrUnreadable = errors.New("session: unreadable record")
	// ErrTooLarge reports values of more than 64 KiB in one session.
	ErrTooLarge = errors.New("session: values too large")
	// ErrLimit reports that the user has as many sessions as Config.MaxSessions allows.
	ErrLimit = errors.New("session: too many sessions")
	// ErrFull reports that the store takes no further anonymous session.
	ErrFull = errors.New("session: store is full")
)

// Store keeps session records. This comment is the contract that package
// storetest checks; a store that passes storetest.Run is a good store.
//
// All methods MUST be safe for concurrent use. If ctx is done before they have
// changed anything they MUST change nothing and return an error that wraps
// ctx.Err(). They MUST be repeatable: clients, and the core, retry after a lost
// reply, and the second answer has to be the first one.
//
// Load runs under the request's context, which may have no deadline, and all else
// under one of 3 seconds: a store that can hang needs a time-out of its own.
//
// IDs may come from a client: Load and Delete of any string, be it empty, long
// or no UTF-8, find nothing, and fail no other way. The empty user ID owns no
// records: listing its sessions finds none, and deleting them deletes none.
//
// There is no upsert. A write that could create what a revocation has just
// deleted would sign somebody in again (CVE-2025-46336), and one that ignores
// the version would lose another request's change.
//
// Records are immutable: callers never change a record that Load returned, and
// a store never changes one it has returned. A store MUST keep its own copy of
// what it is given; copying the Record struct is enough, as its fields hold no
// mutable memory.
//
// Expiry is judged by the caller's clock: a record is expired when now >=
// ExpiresAt. A store may drop expired records at any time; until then Load
// returns them and the caller judges.
type Store interface {
	// Create stores a new record. It returns ErrExists if the ID is taken,
	// unless the stored record has the same Version: then this call is a
	// repetition and succeeds.
	Create(ctx context.Context, r *Record) error

	// Load returns the record of the ID, or ErrNotFound. A record that cannot
	// be decoded is ErrUnreadable.
	Load(ctx context.Context, id string) (*Record, error)

	// Update replaces the record with r.ID. It returns ErrNotFound if there is
	// none, and never creates one. It returns ErrConflict unless the stored
	// Version is version; if it is r.Version already, this call is a repetition
	// and succeeds. The comparison and the replacement MUST be one atomic step.
	// Callers never change ID, UserID or CreatedAt of a record.
	Update(ctx context.Context, r *Record, version uint64) error

	// Delete removes the record of the ID. It returns nil if there is none.
	// When it has returned, no Load on any node may find the record.
	Delete(ctx context.Context, id string) error

	// ListUser returns the user's records that are not expired at now, in any
	// order, whatever their State except StateMoved. A record is listed from
	// the moment its Create returns until it is deleted or expires. User IDs
	// are compared byte by byte.
	ListUser(ctx context.Context, userID string, now time.Time) ([]*Record, error)

	// DeleteUser removes the records that ListUser would return, but those
	// whose ID is in except, and returns how many it removed. It may remove
	// the user's expired records as well, without counting them. Every record
	// whose Create returned before the call is gone when it returns.
	DeleteUser(ctx context.Context, userID string, now time.Time, except ...string) (int, error)
}

// Limit is the number of sessions one user may have at a time.
type Limit struct {
	// Max is the number of live sessions in StateSignedIn, at least 1.
	Max int
	// Refuse makes a session beyond Max an ErrLimit. Otherwise the sessions
	// that expire soonest make room for it.
	Refuse bool
}

// LimitedCreator is a [Store] that enforces a [Limit] at Create, exactly, however
// many sign-ins run at once. Without it the core creates first and then removes
// what is over the limit, so that for the moment between there can be more.
type LimitedCreator interface {
	// CreateLimited is Create for a record in StateSignedIn. Records of the
	// same user that are in StateSignedIn and not expired at now count. It
	// returns the IDs it evicted; the new record is never among them. If it
	// fails, nothing was evicted. A repetition succeeds and evicts nothing.
	// Update is not limited: the core never makes a record count by it.
	CreateLimited(ctx context.Context, r *Record, limit Limit, now time.Time) (evicted []string, err error)
}

// Change is the change of one value.
type Change struct {
	// Key names the value.
	Key string
	// Data is the encoded value. The store must not keep or change the slice.
	Data []byte
	// Delete removes the value; Data is then ignored.
	Delete bool
}

// Patcher is a [Store] that applies changes of values in one atomic step, so that
// parallel writers of one session need not retry. Without it the core loads,
// merges and updates until no other writer comes between.
type Patcher interface {
	// Patch applies the changes to the values of the record and sets its
	// Version, whatever it was before. It returns ErrNotFound for a record
	// that is missing, expired at now or in StateMoved, and ErrTooLarge for
	// a result of more than 64 KiB; nothing is changed then.
	Patch(ctx context.Context, id string, changes []Change, version uint64, now time.Time) error
}

// Sweeper is a [Store] that does not free expired records by itself.
// Manager.Sweep asks it to; without it Sweep does nothing, because the store
// expires its records itself.
type Sweeper interface {
	// Sweep frees records that are expired at now and returns how many.
	Sweep(ctx context.Context, now time.Time) (int, error)
}

// Feed is a [Store] that tells every node what any node changes. It is what a
// cache of records needs to be right.
type Feed interface {
	// Follow calls changed with the ID of every record that is updated,
	// patched or deleted, by whatever node, until ctx is done, and returns the
	// context's error. The call comes when Load already returns the change.
	// New records, and expired ones that are freed, need no call. It calls healthy(true) when from now on it misses
	// nothing, and healthy(false) as soon as it may have missed something: what
	// was read before the next healthy(true) is not to be trusted. It MUST
	// notice a connection that has gone silent, and reconnects by itself. The
	// calls are made one at a time and must not block.
	Follow(ctx context.Context, changed func(id string), healthy func(ok bool)) error
}
