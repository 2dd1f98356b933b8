// Package benchmarks compares this library with others, and with the least that a
// session can cost: one application, which every contender serves with its own
// sessions, the same requests, one run. It is a module of its own for the sake of
// its dependencies.
//
// Contenders take turns in rounds, so that whatever else the machine does meets
// all of them; a ratio is the median of those within the rounds, and takes five.
// Every contender is also probed for what sessions must not do, on the very
// server that is measured. Some of it by hand:
//
//	go test -run '^$' -bench MemorySerial/read -benchtime 9x -v
//	go test -run '^$' -bench MemorySerial/read -benchtime 50x -contenders '^session$' -cpuprofile cpu.prof
//
// With -results, results are written to a file, of which ./report makes tables and
// plots; make bench does it all. What a request allocates, and what it asks of the
// store, is compared with testdata/baseline.txt by the ordinary tests.
package benchmarks
