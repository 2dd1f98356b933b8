package client

import "context"

// options say how one request differs from others.
type options struct {
	without  bool   // carries no session
	keep     bool   // an answer that the session is over removes nothing
	signIn   bool   // the answer's session replaces whatever is stored
	explicit string // the session to send, though it is not stored
}

// record is what became of one request.
type record struct {
	sent     string // the session it carried
	captured bool   // the answer's session was stored
}

type (
	optionsKey struct{}
	recordKey  struct{}
)

func optionsOf(ctx context.Context) options {
	opts, _ := ctx.Value(optionsKey{}).(options)
	return opts
}

func withOptions(ctx context.Context, edit func(*options)) context.Context {
	opts := optionsOf(ctx)
	edit(&opts)
	return context.WithValue(ctx, optionsKey{}, opts)
}

// WithoutSession returns a context whose requests carry no session, for calls of
// a Client or Transport to what needs none.
func WithoutSession(ctx context.Context) context.Context {
	return withOptions(ctx, func(o *options) { o.without = true })
}

// KeepSession returns a context in which no answer removes the stored session.
// It is for requests with a 401 of their own, such as asking for the password
// again, and for sessions that wait for a second factor: until that has come
// every contract answers as if there were no session.
func KeepSession(ctx context.Context) context.Context {
	return withOptions(ctx, func(o *options) { o.keep = true })
}
