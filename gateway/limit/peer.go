package limit

import (
	"container/list"
	"net"
	"net/netip"
)

// peer is what one address has. There is one while there are connections of it, so
// that there are never more than connections.
type peer struct {
	connections int
	resting     list.List // of net.Conn, the longest first
}

// counted is the address that a connection counts to, which is not valid where
// nothing bounds it.
func (c *Connections) counted(conn net.Conn) netip.Addr {
	at, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || c.bounds.PerAddress <= 0 {
		return netip.Addr{}
	}
	a := at.AddrPort().Addr().Unmap()
	if c.bounds.Exempt != nil && c.bounds.Exempt(a) {
		return netip.Addr{}
	}
	return share(a)
}

// enter counts a connection to its address, whose longest resting one it takes the
// place of where there are too many. It reports false where none rests.
func (c *Connections) enter(conn net.Conn) bool {
	a := c.counted(conn)
	if !a.IsValid() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.peers[a]; p != nil && p.connections >= c.bounds.PerAddress && !c.closeOne(&p.resting) {
		return false
	}
	p := c.peers[a]
	if p == nil {
		p = &peer{}
		c.peers[a] = p
	}
	p.connections++
	return true
}

// leave is the end of a connection that the server never had.
func (c *Connections) leave(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release(conn)
}

// release counts a connection no more.
func (c *Connections) release(conn net.Conn) {
	a := c.counted(conn)
	p := c.peers[a]
	if p == nil {
		return
	}
	if p.connections--; p.connections == 0 {
		delete(c.peers, a)
	}
}
