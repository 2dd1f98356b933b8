// Package a has every kind of exported name, documented and not.
package a

// Documented is.
func Documented() {}

func Bare() {} // want "Bare has no doc comment"

//go:noinline
func Directive() {} // want "Directive has no doc comment"

func unexported() {}

// A comment on a group is good for all of it.
const (
	InGroup = iota
	AlsoInGroup
)

const (
	Trailing = 1 // Trailing is described here.
	// Above is described here.
	Above = 2
)

// want +2 "First has no doc comment" "Second has no doc comment"

var First, Second int

// T has fields.
type T struct {
	// One and Two are described together.
	One int
	Two int

	// want +2 "Apart has no doc comment"

	Apart int

	Line int // Line is described here.

	// Sub has fields of its own.
	Sub struct {
		Inner int // Inner is described here.

		// want +2 "Naked has no doc comment"

		Naked int
	}

	G[int]
	hidden int
}

type Bad struct{} // want "Bad has no doc comment"

func (Bad) String() string { return "" } // want "String has no doc comment"

// G has a type parameter.
type G[K any] struct{}

func (*G[K]) Method() {} // want "Method has no doc comment"

type private struct{ Field int }

func (private) Exported() {}

// I is an interface.
type I interface {
	error
	// Good is described.
	Good()
	Worse() // want "Worse has no doc comment"
}
