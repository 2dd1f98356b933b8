package cachestore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/updateage/session"
	"github.com/updateage/session/cachestore"
)

// txStore is a store with transactions: in one, no session is there any more.
type txStore struct {
	*link
}

type inTx struct{}

func (txStore) InTx(ctx context.Context) bool { return ctx.Value(inTx{}) != nil }

func (s txStore) Load(ctx context.Context, id string) (*session.Record, error) {
	if s.InTx(ctx) {
		return nil, session.ErrNotFound
	}
	return s.link.Load(ctx, id)
}

// What a transaction sees is for it alone, and nothing else is for it.
func TestTransactionsBypassTheCache(t *testing.T) {
	l := newServer().connect()
	c := cached(t, l, txStore{l}, cachestore.Options{})
	r := create(t, c, "alice")
	for range 2 {
		if _, err := c.Load(t.Context(), r.ID); err != nil {
			t.Fatalf("Load: %v", err)
		}
		if _, err := c.Load(context.WithValue(t.Context(), inTx{}, true), r.ID); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load in a transaction: got error %v, want ErrNotFound", err)
		}
	}
	if stats := c.Stats(); stats.Hits != 1 || stats.Misses != 1 || stats.Bypassed != 2 {
		t.Errorf("got %+v, want 1 hit, 1 miss, 2 bypassed", stats)
	}
}
