package limit

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// Bounds say how many connections a listener has. A number that is 0 is no bound, and
// a function that is nil is not called.
type Bounds struct {
	Most       int                   // at once; one more waits
	PerAddress int                   // of one address, of IPv6 one /64; one more is closed
	Exempt     func(netip.Addr) bool // says of which addresses PerAddress is no matter
	Waited     func()                // is called when one has to wait
	Refused    func(netip.Addr)      // is called when one of an address was closed
}

// Connections is a listener that has a bounded number of connections. One more waits
// until another ends, and whatever comes behind it in the queue of the kernel,
// rather than being refused: a refusal before TLS could say neither why nor for how
// long, and a burst is served a little later. So that it does not wait for what does nothing, connections that
// rest between requests are closed while one waits, those that rest longest first;
// all others end by their deadlines.
//
// Of one address there are no more than its share, so that it cannot keep all others
// waiting. What it has too many takes the place of the one of its own that rests
// longest, and is closed where none rests: to let it wait would keep back those of
// others behind it.
//
// The server reports what becomes of its connections to [Connections.Note].
type Connections struct {
	net.Listener
	bounds Bounds
	places chan struct{} // nil for any number
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	waiting int
	resting *list.List // of net.Conn, the longest first
	rests   map[net.Conn]rest
	gone    map[net.Conn]bool // closed for another, which the server has yet to see
	peers   map[netip.Addr]*peer
}

// rest is where a connection that rests stands in the lists.
type rest struct {
	all *list.Element // in Connections.resting
	own *list.Element // in that of its peer, nil where nothing bounds its address
	of  *peer
}

// NewConnections bounds a listener.
func NewConnections(l net.Listener, b Bounds) *Connections {
	c := &Connections{
		Listener: l,
		bounds:   b,
		closed:   make(chan struct{}),
		resting:  list.New(),
		rests:    map[net.Conn]rest{},
		gone:     map[net.Conn]bool{},
		peers:    map[netip.Addr]*peer{},
	}
	if b.Most > 0 {
		c.places = make(chan struct{}, b.Most)
	}
	return c
}

// Accept implements net.Listener.
func (c *Connections) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		switch {
		case err != nil:
			return nil, err
		case !c.enter(conn):
			conn.Close()
			if c.bounds.Refused != nil {
				c.bounds.Refused(c.counted(conn))
			}
		case !c.place():
			conn.Close()
			c.leave(conn)
			return nil, net.ErrClosed
		default:
			return conn, nil
		}
	}
}

// place waits for a place. It reports false where the listener was closed meanwhile.
func (c *Connections) place() bool {
	if c.places == nil {
		return true
	}
	select {
	case c.places <- struct{}{}:
		return true
	default:
	}
	if c.bounds.Waited != nil {
		c.bounds.Waited()
	}
	c.wait(+1)
	defer c.wait(-1)
	select {
	case c.places <- struct{}{}:
		return true
	case <-c.closed:
		return false
	}
}

func (c *Connections) wait(by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting += by; c.waiting > 0 {
		c.closeOne(c.resting)
	}
}

// closeOne closes the connection that rests longest of a list. It reports false where
// none rests.
func (c *Connections) closeOne(resting *list.List) bool {
	e := resting.Front()
	if e == nil {
		return false
	}
	conn := e.Value.(net.Conn)
	c.wake(conn)
	c.gone[conn] = true
	c.release(conn) // now, since the server may be long in seeing that it ended
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn() // without a farewell, which could take its time
	}
	conn.Close()
	return true
}

// wake takes a connection from those that rest.
func (c *Connections) wake(conn net.Conn) {
	r, ok := c.rests[conn]
	if !ok {
		return
	}
	delete(c.rests, conn)
	c.resting.Remove(r.all)
	if r.own != nil {
		r.of.resting.Remove(r.own)
	}
}

// sleep puts a connection to those that rest.
func (c *Connections) sleep(conn net.Conn) {
	r := rest{all: c.resting.PushBack(conn), of: c.peers[c.counted(conn)]}
	if r.of != nil {
		r.own = r.of.resting.PushBack(conn)
	}
	c.rests[conn] = r
}

// Close implements net.Listener.
func (c *Connections) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// Note is the server's http.Server.ConnState.
func (c *Connections) Note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake(conn)
	switch state {
	case http.StateIdle:
		if c.gone[conn] {
			return // it was closed in the middle of a request that came just then
		}
		c.sleep(conn)
		if c.waiting > 0 {
			c.closeOne(c.resting)
		}
	case http.StateClosed, http.StateHijacked:
		if !c.gone[conn] {
			c.release(conn)
		}
		delete(c.gone, conn)
		if c.places != nil {
			<-c.places
		}
	}
}
