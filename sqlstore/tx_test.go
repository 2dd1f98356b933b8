package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/updateage/session"
	"github.com/updateage/session/sqlstore"
)

// begin begins a transaction as WithTx asks for.
func begin(t *testing.T, db *database) *sql.Tx {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), db.isolation())
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// isolation is what WithTx asks for.
func (e engine) isolation() *sql.TxOptions {
	if e.dialect == sqlstore.MySQL {
		return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	return nil
}

// onEachInTx is onEach with SQLite's transactions as WithTx asks for.
func onEachInTx(t *testing.T, test func(*testing.T, *database)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			var parameters []string
			if e.dialect == sqlstore.SQLite {
				parameters = []string{"_txlock=immediate"}
			}
			test(t, e.open(t, parameters...))
		})
	}
}

func TestTransactionIsAllOrNothing(t *testing.T) {
	onEachInTx(t, func(t *testing.T, db *database) {
		s := db.store(t)
		user := newUser()
		old := create(t, s, user)
		change := func(tx *sql.Tx) (created, limited *session.Record) {
			ctx := s.WithTx(t.Context(), tx)
			created, limited = newRecord(user), newRecord(user)
			must(t, s.Create(ctx, created))
			must(t, s.Update(ctx, changed(created, expiresIn(2*life)), created.Version))
			must(t, s.Delete(ctx, old.ID))
			evicted, err := s.CreateLimited(ctx, limited, session.Limit{Max: 1}, time.Now())
			if err != nil || len(evicted) != 1 {
				t.Fatalf("CreateLimited: got evicted %q and error %v, want one", evicted, err)
			}
			_, err = s.CreateLimited(ctx, newRecord(user), session.Limit{Max: 1, Refuse: true}, time.Now())
			wantErr(t, "CreateLimited at the limit", err, session.ErrLimit)
			wantErr(t, "Create of another", s.Create(ctx, changed(limited)), session.ErrExists)
			listed, err := s.ListUser(ctx, user, time.Now())
			if err != nil || len(listed) != 1 || listed[0].ID != limited.ID {
				t.Errorf("ListUser in the transaction: got %v and error %v, want the new session", listed, err)
			}
			return created, limited
		}

		tx := begin(t, db)
		_, limited := change(tx)
		wantLoaded(t, s, old) // as others see it
		wantGone(t, s, limited.ID)
		must(t, tx.Rollback())
		wantListed(t, s, user, old)

		tx = begin(t, db)
		created, limited := change(tx)
		must(t, tx.Commit())
		wantListed(t, s, user, limited)
		wantGone(t, s, created.ID)
		_, err := s.Load(s.WithTx(t.Context(), tx), limited.ID)
		wantErr(t, "Load in a transaction that has ended", err, sql.ErrTxDone)
	})
}

// A transaction is one of a store: another store does not use it.
func TestTransactionBelongsToItsStore(t *testing.T) {
	onEachInTx(t, func(t *testing.T, db *database) {
		s, other := db.store(t), db.store(t)
		old := create(t, s, newUser())
		tx := begin(t, db)
		ctx := s.WithTx(t.Context(), tx)
		if !s.InTx(ctx) || s.InTx(t.Context()) || other.InTx(ctx) {
			t.Errorf("InTx: got %v, without it %v, another store %v", s.InTx(ctx), s.InTx(t.Context()), other.InTx(ctx))
		}
		must(t, s.Delete(ctx, old.ID))
		if _, err := other.Load(ctx, old.ID); err != nil {
			t.Errorf("Load by another store: got error %v, want the record", err)
		}
	})
}

// rollBackBySignIn begins a transaction that changes the user's password and makes
// its sign-in the victim of a deadlock. It returns that error, and the context.
func rollBackBySignIn(t *testing.T, db *database, s *sqlstore.Store, ss *session.Session, userID string) (context.Context, error) {
	t.Helper()
	bystanders := createMany(t, s, 50)
	tx := begin(t, db)
	_, err := tx.ExecContext(t.Context(), "UPDATE users"+db.table+" SET password = 'new'")
	must(t, err)
	other, err := db.Conn(t.Context())
	must(t, err)
	defer other.Close()
	exec := func(text string) error {
		_, err := other.ExecContext(context.Background(), text)
		return err
	}
	block := func(id string) { must(t, exec("UPDATE "+db.table+" SET user_agent = 'a' WHERE id = '"+id+"'")) }
	if db.dialect == sqlstore.PostgreSQL {
		must(t, exec("SET deadlock_timeout = '1min'")) // so that it is the sign-in which looks
		defer func() { must(t, exec("RESET deadlock_timeout")) }()
	}
	must(t, exec("BEGIN"))
	for _, r := range bystanders { // MySQL ends the one that has done less
		block(r.ID)
	}
	block(ss.ID())
	ended := background(t.Context(), func(context.Context) error {
		return errors.Join(exec("UPDATE users"+db.table+" SET password = 'other'"), exec("ROLLBACK"))
	})
	waiting(t, db, "UPDATE users")
	ctx := s.WithTx(t.Context(), tx)
	err = ss.SignIn(ctx, userID, session.SignInOptions{})
	_ = tx.Rollback()
	must(t, <-ended)
	return ctx, err
}

// A deadlock ends all of a transaction. What the core repeats after that must not
// be executed by itself, or the sign-in is there and the new password is not.
func TestDeadlockEndsATransaction(t *testing.T) {
	for _, e := range engines[:2] {
		t.Run(e.name, func(t *testing.T) {
			db := e.open(t)
			s := db.store(t)
			sessions, err := session.New(s, session.Config{Logger: slog.New(slog.DiscardHandler)})
			must(t, err)
			user := newUser()
			db.exec(t, "CREATE TABLE users%s (id int PRIMARY KEY, password varchar(20))")
			db.exec(t, "INSERT INTO users%s (id, password) VALUES (1, 'old')")
			handler := sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				ss := session.FromContext(r.Context())
				must(t, ss.SignIn(r.Context(), user, session.SignInOptions{}))
				before, err := s.Load(t.Context(), ss.ID())
				must(t, err)
				ctx, signIn := rollBackBySignIn(t, db, s, ss, user)
				if signIn == nil || !strings.Contains(strings.ToLower(signIn.Error()), "deadlock") {
					t.Errorf("SignIn: got error %v, want the deadlock", signIn)
				}
				for name, again := range map[string]context.Context{"the same context": ctx, "a context made of it": context.WithoutCancel(ctx)} {
					if err := s.Delete(again, ss.ID()); err == nil || !strings.Contains(strings.ToLower(err.Error()), "deadlock") {
						t.Errorf("Delete after that, with %s: got error %v, want the deadlock", name, err)
					}
				}
				wantListed(t, s, user, before)
				wantLoaded(t, s, before)
			}))
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "https://a.example/", nil))
			if n := db.number(t, "SELECT count(*) FROM users%s WHERE password = 'old'"); n != 1 {
				t.Errorf("got %d old passwords, want it unchanged", n)
			}
		})
	}
}

// SQLite ends a transaction by itself when the disk is full, and executes what
// comes next without one.
func TestFullDiskEndsATransaction(t *testing.T) {
	db := engines[2].openDSN(t, sqliteDSN(filepath.Join(t.TempDir(), "full.db"), "_txlock=immediate", "_pragma=max_page_count(60)"))
	s := db.store(t)
	db.exec(t, "CREATE TABLE users%s (password text)")
	tx := begin(t, db)
	_, err := tx.ExecContext(t.Context(), "INSERT INTO users"+db.table+" (password) VALUES ('"+strings.Repeat("n", 160_000)+"')")
	must(t, err)
	ctx := s.WithTx(t.Context(), tx)
	large, small := newRecord("", withValue("v", `"`+strings.Repeat("x", 60_000)+`"`)), newRecord("")
	first := s.Create(ctx, large)
	if first == nil || !strings.Contains(first.Error(), "full") {
		t.Fatalf("Create: got error %v, want that the disk is full", first)
	}
	for name, ctx := range map[string]context.Context{"the same context": ctx, "WithTx again": s.WithTx(ctx, tx)} {
		if err := s.Create(ctx, small); err == nil || err.Error() != first.Error() {
			t.Errorf("Create after that, with %s: got error %v, want %v", name, err, first)
		}
	}
	_ = tx.Rollback()
	wantGone(t, s, large.ID)
	wantGone(t, s, small.ID)
	must(t, s.Create(t.Context(), small))
}

// At MySQL's default isolation a conflict would last for ever: it is told at once.
func TestConflictInATransaction(t *testing.T) {
	for _, test := range []struct {
		engine    engine
		isolation sql.IsolationLevel
		says      string // empty: a conflict that can be solved
	}{
		{engines[0], sql.LevelReadCommitted, ""},
		{engines[0], sql.LevelRepeatableRead, "could not serialize"},
		{engines[1], sql.LevelReadCommitted, ""},
		{engines[1], sql.LevelRepeatableRead, "READ COMMITTED"},
	} {
		t.Run(fmt.Sprint(test.engine.name, " ", test.isolation), func(t *testing.T) {
			db := test.engine.open(t)
			s := db.store(t)
			r, gone := create(t, s, newUser()), create(t, s, newUser())
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: test.isolation})
			must(t, err)
			defer func() { _ = tx.Rollback() }()
			ctx := s.WithTx(t.Context(), tx)
			_, err = s.Load(ctx, r.ID) // from now on it may see the past
			must(t, err)
			next := changed(r)
			must(t, s.Update(t.Context(), next, r.Version)) // by another request
			must(t, s.Delete(t.Context(), gone.ID))
			err = s.Update(ctx, changed(r), r.Version)
			if test.says != "" {
				if err == nil || errors.Is(err, session.ErrConflict) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("Update: got error %v, want %s", err, test.says)
				}
				return
			}
			wantErr(t, "Update", err, session.ErrConflict)
			got, err := s.Load(ctx, r.ID)
			must(t, err)
			if got.Version != next.Version {
				t.Errorf("Load after a conflict: got version %d, want %d", got.Version, next.Version)
			}
			must(t, s.Update(ctx, changed(got), got.Version))
			wantErr(t, "Update of what was revoked", s.Update(ctx, changed(gone), gone.Version), session.ErrNotFound)
		})
	}
}

// A transaction that sees the past would let in one session too many.
func TestLimitInATransactionThatSeesThePast(t *testing.T) {
	for _, test := range []struct {
		engine    engine
		isolation sql.IsolationLevel
		refused   bool
	}{
		{engines[0], sql.LevelReadCommitted, false},
		{engines[0], sql.LevelRepeatableRead, true},
		{engines[0], sql.LevelSerializable, true},
		{engines[1], sql.LevelReadCommitted, false},
		{engines[1], sql.LevelRepeatableRead, false},
	} {
		t.Run(fmt.Sprint(test.engine.name, " ", test.isolation), func(t *testing.T) {
			db := test.engine.open(t)
			s := db.store(t)
			user := newUser()
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: test.isolation})
			must(t, err)
			defer func() { _ = tx.Rollback() }()
			ctx := s.WithTx(t.Context(), tx)
			_, err = s.Load(ctx, newID(user)) // from now on it may see the past
			wantErr(t, "Load", err, session.ErrNotFound)
			first, err := s.CreateLimited(t.Context(), newRecord(user), session.Limit{Max: 1, Refuse: true}, time.Now())
			if err != nil || first != nil {
				t.Fatalf("CreateLimited outside: got evicted %q and error %v", first, err)
			}
			_, err = s.CreateLimited(ctx, newRecord(user), session.Limit{Max: 1, Refuse: true}, time.Now())
			switch {
			case test.refused && (err == nil || err == session.ErrLimit):
				t.Errorf("CreateLimited: got error %v, want that it cannot tell", err)
			case !test.refused:
				wantErr(t, "CreateLimited", err, session.ErrLimit)
			}
		})
	}
}

// The change of a password and the sign-in that follows it, by the middleware.
func TestSignInWithinATransaction(t *testing.T) {
	onEachInTx(t, func(t *testing.T, db *database) {
		s := db.store(t)
		sessions, err := session.New(s, session.Config{Cookie: session.Cookie{Insecure: true}, MaxSessions: 3})
		must(t, err)
		user := newUser()
		db.exec(t, "CREATE TABLE users%s (password varchar(20))")
		db.exec(t, "INSERT INTO users%s (password) VALUES ('old')")
		stolen := create(t, s, user)
		change := func(w http.ResponseWriter, r *http.Request) error {
			tx, err := db.BeginTx(r.Context(), db.isolation())
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback() }()
			ctx := s.WithTx(r.Context(), tx)
			if _, err := tx.ExecContext(ctx, "UPDATE users"+db.table+" SET password = 'new'"); err != nil {
				return err
			}
			if _, err := sessions.RevokeAll(ctx, user); err != nil {
				return err
			}
			if err := session.FromContext(r.Context()).SignIn(ctx, user, session.SignInOptions{}); err != nil {
				return err
			}
			if r.FormValue("fail") != "" {
				return session.ErrUnavailable
			}
			return tx.Commit()
		}
		handler := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := change(w, r); err != nil {
				http.Error(w, err.Error(), session.Status(err))
				return
			}
			_ = session.Key[string]("k").Set(session.FromContext(r.Context()), "v") // written after the transaction
		}))
		passwords := func(word string) int64 {
			return db.number(t, "SELECT count(*) FROM users%s WHERE password = '"+word+"'")
		}

		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?fail=1", nil))
		if w.Code != http.StatusServiceUnavailable || passwords("old") != 1 {
			t.Errorf("rolled back: got status %d and %d old passwords", w.Code, passwords("old"))
		}
		wantListed(t, s, user, stolen)

		w = httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
		if w.Code != http.StatusOK || passwords("new") != 1 || len(w.Result().Cookies()) != 1 {
			t.Errorf("committed: got status %d %s, %d new passwords, cookies %v", w.Code, w.Body, passwords("new"), w.Result().Cookies())
		}
		wantGone(t, s, stolen.ID)
		listed, err := s.ListUser(t.Context(), user, time.Now())
		if err != nil || len(listed) != 1 {
			t.Errorf("ListUser: got %d and error %v, want the new session", len(listed), err)
		}
	})
}
