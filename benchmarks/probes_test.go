package benchmarks

import (
	"fmt"
	"testing"
)

// The probes ask of every contender, on the very server that is measured, what
// sessions must not do. What the others do wrong is noted in the table; what this
// library does wrong fails the test.

// TestProbesInMemory probes the contenders in memory, and those whose cookie
// holds all.
func TestProbesInMemory(t *testing.T) {
	for _, c := range inMemory() {
		if !c.bare {
			probe(t, "memory", c, c.name == "session" || c.name == "floor")
		}
	}
}

// TestProbesOnRedis probes the contenders on Redis.
func TestProbesOnRedis(t *testing.T) {
	for _, c := range onRedis(t, connect(t)) {
		if c.bare {
			continue
		}
		probe(t, "redis", c, c.name == "session" || c.name == "session-pipelined" || c.name == "session-cached")
	}
}

func probe(t *testing.T, where string, c contender, mustPass bool) {
	t.Helper()
	lost, resurrected := losesUpdate(t, c), resurrects(t, c)
	note(t, 0, fmt.Sprintf("BenchmarkProbe/%s/%s 1 %d lost-updates %d resurrections", where, c.name, count(lost), count(resurrected)))
	if mustPass && (lost || resurrected) {
		t.Errorf("%s: lost update: %t, resurrection: %t", c.name, lost, resurrected)
	}
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// losesUpdate has two requests of one session set different values at the same
// time. Both values have to be there afterwards.
func losesUpdate(t *testing.T, c contender) bool {
	t.Helper()
	s := c.start(t, nil)
	cookie := s.signIn(t, "alice")
	first, second := s.slowly(t, cookie, "a", "1"), s.slowly(t, cookie, "b", "2")
	s.gate.pass(2)
	cookie = (<-second).cookie((<-first).cookie(cookie))
	value := func(key string) string {
		return s.ask(t, request{path: valuePage, cookie: cookie, header: map[string]string{keyHeader: key}}).body
	}
	return value("a") != "1" || value("b") != "2"
}

// resurrects signs out while a request of the session is under way, which then
// changes a value. Neither the old cookie nor one that the late reply may have
// brought is to be worth anything afterwards.
func resurrects(t *testing.T, c contender) bool {
	t.Helper()
	s := c.start(t, nil)
	cookie := s.signIn(t, "alice")
	late := s.slowly(t, cookie, "a", "1")
	<-s.gate.arrived
	s.ask(t, request{path: signOutPage, cookie: cookie})
	s.gate.open <- struct{}{}
	who := func(cookie string) string { return s.ask(t, request{path: whoPage, cookie: cookie}).body }
	return who((<-late).cookie(cookie)) == "alice" || who(cookie) == "alice"
}

// slowly begins a request that waits at the gate.
func (s *server) slowly(t *testing.T, cookie, key, value string) <-chan reply {
	t.Helper()
	done := make(chan reply, 1)
	q := request{path: slowPage, cookie: cookie, header: map[string]string{keyHeader: key, valueHeader: value}}
	go func() { done <- s.ask(t, q) }()
	return done
}

// pass lets n requests go on when all have arrived.
func (g *gate) pass(n int) {
	for range n {
		<-g.arrived
	}
	for range n {
		g.open <- struct{}{}
	}
}
