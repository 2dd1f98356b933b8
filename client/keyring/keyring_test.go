package keyring_test

import (
	"context"
	"strings"
	"testing"

	"github.com/updateage/session/client/keyring"
)

func TestStorageIsMisused(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		s    *keyring.Storage
		ctx  context.Context
		want string
	}{
		{&keyring.Storage{}, t.Context(), "no Service is set"},
		{&keyring.Storage{Service: "x"}, ctx, context.Canceled.Error()},
	} {
		_, get := row.s.Get(row.ctx, "key")
		for _, err := range []error{get, row.s.Set(row.ctx, "key", "value"), row.s.Remove(row.ctx, "key")} {
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("error is %v, want %s", err, row.want)
			}
		}
	}
}
