package redisstore

import (
	"context"
	"time"
)

// Within returns what bounds the attempts of a store with this time-out.
func Within(timeout time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return newBounds(timeout).within
}
