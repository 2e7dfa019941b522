package drivertest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a driver and a server, and can be broken: then all connections through it break off and new ones
// are refused.
type Proxy struct {
	t       testing.TB
	target  string
	address string
	ended   sync.WaitGroup

	mu       sync.Mutex // guards what follows
	listener net.Listener
	conns    map[net.Conn]bool
}

// NewProxy opens a proxy to a TCP server on a free port of the loopback; it closes with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, target: target, address: "127.0.0.1:0", conns: map[net.Conn]bool{}}
	p.Mend()
	t.Cleanup(func() {
		p.Break()
		p.ended.Wait()
	})
	return p
}

// Address is where the proxy listens, whole or broken.
func (p *Proxy) Address() string { return p.address }

// Break ends all connections and refuses new ones.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return
	}
	p.listener.Close()
	p.listener = nil
	for c := range p.conns {
		c.Close()
	}
}

// Mend lets connections through again, at the same address.
func (p *Proxy) Mend() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return
	}
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatalf("proxy: %v", err)
	}
	p.listener, p.address = listener, listener.Addr().String()
	p.ended.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.ended.Go(func() { p.carry(listener, conn) })
		}
	})
}

// carry copies both ways until one side ends.
func (p *Proxy) carry(through net.Listener, client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.Close()
		return
	}
	p.mu.Lock()
	if p.listener == through {
		p.conns[client], p.conns[server] = true, true
	} else { // broken meanwhile
		client.Close()
		server.Close()
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
		both.Go(func() {
			io.Copy(to, from)
			from.Close()
			to.Close()
		})
	}
	both.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}
