package limit

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// Connections is a listener that has a bounded number of connections. One more waits
// until another ends, and whatever comes behind it in the queue of the kernel,
// rather than being refused: a refusal before TLS could say neither why nor for how
// long, and a burst is served a little later. So that it does not wait for what does nothing, connections that
// rest between requests are closed while one waits, those that rest longest first;
// all others end by their deadlines.
//
// The server reports what becomes of its connections to [Connections.Note].
type Connections struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
	waited func() // is called when one has to wait

	mu      sync.Mutex
	waiting int
	resting *list.List // of net.Conn, the longest first
	rests   map[net.Conn]*list.Element
}

// NewConnections bounds a listener. waited is told of every wait.
func NewConnections(l net.Listener, most int, waited func()) *Connections {
	return &Connections{
		Listener: l,
		places:   make(chan struct{}, most),
		closed:   make(chan struct{}),
		waited:   waited,
		resting:  list.New(),
		rests:    map[net.Conn]*list.Element{},
	}
}

// Accept implements net.Listener.
func (c *Connections) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !c.place() {
		conn.Close()
		return nil, net.ErrClosed
	}
	return conn, nil
}

// place waits for a place. It reports false where the listener was closed meanwhile.
func (c *Connections) place() bool {
	select {
	case c.places <- struct{}{}:
		return true
	default:
	}
	c.waited()
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
		c.closeOne()
	}
}

// closeOne closes a connection that rests.
func (c *Connections) closeOne() {
	e := c.resting.Front()
	if e == nil {
		return
	}
	conn := c.resting.Remove(e).(net.Conn)
	delete(c.rests, conn)
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn() // without a farewell, which could take its time
	}
	conn.Close()
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
	if e, ok := c.rests[conn]; ok {
		c.resting.Remove(e)
		delete(c.rests, conn)
	}
	switch state {
	case http.StateIdle:
		c.rests[conn] = c.resting.PushBack(conn)
		if c.waiting > 0 {
			c.closeOne()
		}
	case http.StateClosed, http.StateHijacked:
		<-c.places
	}
}
