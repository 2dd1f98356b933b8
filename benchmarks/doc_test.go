// Package benchmarks compares requests through the middleware with what stands
// next to it: a handler that asks Redis by hand, another library, the memory
// store. It is a module of its own for the sake of its dependencies.
//
//	go test -run '^$' -bench . -benchtime 9x
//
// runs nine rounds. In each all contenders take turns, so that whatever else the
// machine does meets all of them; a ratio is the median of those of the rounds.
package benchmarks
