//go:build race

package session_test

// pxRace says that the race detector is on, under which allocations differ.
const pxRace = true
