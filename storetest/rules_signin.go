package storetest

import (
	"slices"
	"sync"

	"github.com/updateage/session"
)

// signInRules are about sign-ins and revocations of one user at the same time.
var signInRules = []rule{
	{"a record is listed from the moment its Create returns",
		because("a session that is not listed cannot be revoked"), createdIsListed},
	{"the list is exact after parallel creates and deletes",
		because("an index read, changed and written back loses the entries of others"), listIsExact},
	{"DeleteUser removes whatever was created before, during sign-ins too",
		because("a thief who signs in again and again must not outlast the change of the password"), revokedDuringSignIns},
}

func createdIsListed(t *trial) {
	const lanes, signIns = 8, 10
	user := newUser()
	t.parallel(lanes, func(int) {
		for range signIns {
			r := t.create(user)
			if !slices.Contains(t.list(user, t.now), r.ID) {
				t.errorf("ListUser right after Create: the record is missing")
			}
		}
	})
}

func listIsExact(t *trial) {
	const lanes, signIns = 8, 12
	user := newUser()
	var mu sync.Mutex
	var stay, left []*session.Record
	t.parallel(lanes, func(lane int) {
		for i := range signIns {
			r := t.create(user)
			leaves := (lane+i)%3 == 0
			if leaves {
				t.must("Delete", t.store.Delete(t.ctx, r.ID))
			}
			mu.Lock()
			if leaves {
				left = append(left, r)
			} else {
				stay = append(stay, r)
			}
			mu.Unlock()
		}
	})
	t.wantListed("after parallel creates and deletes", user, t.now, stay...)
	t.wantGone("after parallel deletes", ids(left...)...)
	t.deleteUser("after parallel creates and deletes", user, t.now, len(stay))
	t.wantGone("after DeleteUser", ids(stay...)...)
}

func revokedDuringSignIns(t *trial) {
	const rounds, lanes, signIns = 50, 4, 2
	user := newUser()
	var before, all []string
	for range rounds {
		var mu sync.Mutex
		var created []string
		t.parallel(lanes+1, func(lane int) {
			if lane == 0 {
				_, err := t.store.DeleteUser(t.ctx, user, t.now)
				t.must("DeleteUser", err)
				return
			}
			for range signIns {
				id := t.create(user).ID
				mu.Lock()
				created = append(created, id)
				mu.Unlock()
			}
		})
		t.wantGone("after DeleteUser during other sign-ins", before...)
		before, all = created, append(all, created...)
	}
	t.wantListedIfThere(user, all)
}

// wantListedIfThere checks that of all records exactly those are listed that
// Load finds.
func (t *trial) wantListedIfThere(userID string, all []string) {
	listed := t.list(userID, t.now)
	there := slices.DeleteFunc(all, func(id string) bool {
		_, err := t.store.Load(t.ctx, id)
		return err != nil
	})
	slices.Sort(there)
	if !slices.Equal(listed, there) {
		t.errorf("after sign-ins and revocations: ListUser has %q, Load finds %q", listed, there)
	}
}
