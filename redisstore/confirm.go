package redisstore

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// revoke runs a script that deletes sessions, and waits for replicas if the
// options say so. If too few confirm it, it returns the script's answer and an
// error that wraps ErrNotConfirmed.
func (s *Store) revoke(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, error) {
	if s.replicas == 0 {
		return s.run(ctx, script, keys, args...)
	}
	confirmed := 0
	reply, err := ask(ctx, s, func(ctx context.Context) (reply any, err error) {
		reply, confirmed, err = s.runAndWait(ctx, script, keys, args...)
		return reply, err
	})
	if err == nil && confirmed < s.replicas {
		err = fmt.Errorf("deleted on the master, %d of %d replicas: %w", confirmed, s.replicas, ErrNotConfirmed)
	}
	return reply, err
}

// runAndWait runs a script and counts the replicas that have what it wrote. WAIT
// asks for all that was written before on its connection, hence the pipeline; the
// offset it asks for is that of the server after the last command, so that it is
// also right when the script finds that an earlier call has done its work.
//
// The script itself is sent, not its hash: in a pipeline, go-redis does not send
// it when the server turns out not to have it.
func (s *Store) runAndWait(ctx context.Context, script *redis.Script, keys []string, args ...any) (any, int, error) {
	master, err := s.master(ctx, keys[0])
	if err != nil {
		return nil, 0, err
	}
	pipe := master.Pipeline()
	reply := script.Eval(ctx, pipe, keys, args...)
	wait := pipe.Do(ctx, "wait", s.replicas, s.waitTimeout.Milliseconds())
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, 0, err
	}
	confirmed, err := wait.Int()
	return reply.Val(), confirmed, err
}

// master returns a client of the server that has the key.
func (s *Store) master(ctx context.Context, key string) (redis.Cmdable, error) {
	if s.cluster == nil {
		return s.client, nil
	}
	return s.cluster.MasterForKey(ctx, key)
}
