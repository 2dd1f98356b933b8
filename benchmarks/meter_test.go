package benchmarks

import "sync/atomic"

// meter counts what a library asks of its store. A nil meter counts nothing, so
// that nothing is counted where time is measured.
type meter struct {
	reads, writes, refused atomic.Int64
	// met, if set, is called after each read, before its caller gets the answer.
	met func()
}

func (m *meter) read() {
	if m == nil {
		return
	}
	m.reads.Add(1)
	if m.met != nil {
		m.met()
	}
}

// write counts a write, or one that the store refused because another was first.
func (m *meter) write(err error) error {
	switch {
	case m == nil:
	case err != nil:
		m.refused.Add(1)
	default:
		m.writes.Add(1)
	}
	return err
}

func (m *meter) reset() {
	m.reads.Store(0)
	m.writes.Store(0)
	m.refused.Store(0)
}
