package client

import "context"

// options say how one request differs from others.
type options struct {
	without bool     // carries no session
	keep    bool     // an answer that the session is over removes nothing
	record  *record  // of the Client's call, nil: it is not one
	above   *carried // what a Transport above has put in, nil: nothing
}

// record is one call of a Client: what sets it apart, and what became of it. A
// redirect writes over what the request before it has left.
type record struct {
	signIn   bool   // the answer's session is for found, and not stored
	explicit string // the session to send, though it is not stored

	sent      string // the session it carried
	now       string // the session after the answer: sent, or what replaced it
	found     string // that of a sign-in
	elsewhere bool   // another server has answered, or ours to a request from there
}

// carried is a session on its way to its origin.
type carried struct{ origin, session string }

type optionsKey struct{}

func optionsOf(ctx context.Context) options {
	opts, _ := ctx.Value(optionsKey{}).(options)
	return opts
}

// recordOf returns the record of the call that a request belongs to.
func recordOf(ctx context.Context) *record {
	if rec := optionsOf(ctx).record; rec != nil {
		return rec
	}
	return new(record)
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
