package redisstore_test

import (
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a client and a server and does to replies what networks
// do. Requests it forwards untouched: what a client does not hear of has
// happened all the same. A piece of what the server sends is a reply, as long as
// clients wait for one before they send the next request.
type proxy struct {
	addr   string
	target string
	done   sync.WaitGroup

	cut     atomic.Int64 // of a thousand replies: the connection ends instead
	swallow atomic.Int64 // of a thousand replies: nothing comes, ever
	held    sync.RWMutex // while it is locked, replies wait

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu; nil once the test is over
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{addr: listener.Addr().String(), target: target, conns: make(map[net.Conn]bool)}
	p.done.Go(func() { p.serve(listener) })
	t.Cleanup(func() {
		listener.Close()
		p.close()
		p.done.Wait()
	})
	return p
}

func (p *proxy) serve(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.pass(client) })
	}
}

func (p *proxy) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(client, server) {
		return
	}
	defer p.forget(client, server)
	p.done.Go(func() {
		_, _ = io.Copy(server, client)
		server.Close()
	})
	_ = p.replies(client, server)
}

var errCut = errors.New("cut by the test")

func (p *proxy) replies(client, server net.Conn) error {
	piece := make([]byte, 64<<10)
	for {
		n, err := server.Read(piece)
		if err != nil {
			return err
		}
		p.held.RLock()
		fate := mathrand.Int64N(1000)
		p.held.RUnlock()
		if fate -= p.cut.Load(); fate < 0 {
			return errCut
		}
		if fate -= p.swallow.Load(); fate < 0 {
			continue
		}
		if _, err := client.Write(piece[:n]); err != nil {
			return err
		}
	}
}

// keep notes connections to be closed at the end. It returns false after that.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return false
	}
	for _, c := range conns {
		p.conns[c] = true
	}
	return true
}

func (p *proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}

func (p *proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
