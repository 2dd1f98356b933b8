package redisstore

import (
	"context"
	_ "embed" // the scripts
	"fmt"

	"github.com/redis/go-redis/v9"
)

// The scripts, one for each change that has to be one step. All of them can be
// sent again: clients and go-redis itself do so when a reply is lost. Whoever
// changes one keeps to what Redis 6.2 knows, and to keys that are in KEYS.
//
// They read and write records at fixed offsets, counted from 1 in Lua: format 1,
// state 2, version 5 to 12, expiry 13 to 20, length of the meta part 133, user
// ID 135 behind its length. See docs/redis.md.
var (
	//go:embed lua/create.lua
	createSource string
	//go:embed lua/create_limited.lua
	createLimitedSource string
	//go:embed lua/update.lua
	updateSource string
	//go:embed lua/patch.lua
	patchSource string
	//go:embed lua/delete.lua
	deleteSource string
	//go:embed lua/delete_user.lua
	deleteUserSource string
	//go:embed lua/prune.lua
	pruneSource string

	createScript        = redis.NewScript(createSource)
	createLimitedScript = redis.NewScript(createLimitedSource)
	updateScript        = redis.NewScript(updateSource)
	patchScript         = redis.NewScript(patchSource)
	deleteScript        = redis.NewScript(deleteSource)
	deleteUserScript    = redis.NewScript(deleteUserSource)
	pruneScript         = redis.NewScript(pruneSource)
)

// What scripts answer; see there.
const (
	look       int64 = 2
	done       int64 = 1
	none       int64 = 0
	conflict   int64 = -1
	refused    int64 = -1
	unreadable int64 = -2
	tooLarge   int64 = -3
)

// run runs a script by its hash, and sends the script itself if the server does
// not have it any more.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	return ask(ctx, s, func(ctx context.Context) (any, error) {
		return script.Run(ctx, s.client, keys, args...).Result()
	})
}

// runForNumber is run for a script that answers a number.
func (s *Store) runForNumber(ctx context.Context, script *redis.Script, keys []string, args ...any) (int64, error) {
	reply, err := s.run(ctx, script, keys, args...)
	if err != nil {
		return 0, err
	}
	return number(reply)
}

// runForIDs is run for a script that answers a number and session IDs.
func (s *Store) runForIDs(ctx context.Context, script *redis.Script, keys []string, args ...any) (int64, []string, error) {
	reply, err := s.run(ctx, script, keys, args...)
	if err != nil {
		return 0, nil, err
	}
	list, _ := reply.([]any)
	if len(list) == 0 {
		return 0, nil, fmt.Errorf("unexpected reply %v", reply)
	}
	code, err := number(list[0])
	var ids []string
	for _, id := range list[1:] {
		if id, ok := id.(string); ok {
			ids = append(ids, id)
		}
	}
	return code, ids, err
}

func number(reply any) (int64, error) {
	n, ok := reply.(int64)
	if !ok {
		return 0, fmt.Errorf("unexpected reply %v", reply)
	}
	return n, nil
}

// withIDs returns session IDs as arguments of a script, behind others.
func withIDs(ids []string, first ...any) []any {
	args := make([]any, 0, len(first)+len(ids))
	args = append(args, first...)
	for _, id := range ids {
		args = append(args, id)
	}
	return args
}
