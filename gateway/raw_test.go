package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw is a connection on which a test says exactly what it wants.
type raw struct {
	t *testing.T
	net.Conn
	tcp *net.TCPConn // below it
	in  *bufio.Reader
}

// dial opens a connection to the gateway, encrypted where it is.
func (h *house) dial() *raw {
	h.t.Helper()
	c := h.dialPlain()
	if h.tls != nil {
		secured := tls.Client(c.tcp, h.tls.client("http/1.1"))
		c.Conn, c.in = secured, bufio.NewReader(secured)
	}
	return c
}

// dialPlain opens a connection that is not encrypted, whatever the gateway expects.
func (h *house) dialPlain() *raw {
	h.t.Helper()
	_, address, _ := strings.Cut(h.url, "://")
	c, err := net.Dial("tcp", address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return &raw{h.t, c, c.(*net.TCPConn), bufio.NewReader(c)}
}

// send writes text; \n stands for a line's end as HTTP has it.
func (c *raw) send(format string, args ...any) {
	c.t.Helper()
	if _, err := io.WriteString(c, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n")); err != nil {
		c.t.Errorf("send: %v", err)
	}
}

// try is send where the gateway may have heard enough before the end.
func (c *raw) try(format string, args ...any) {
	io.WriteString(c, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\r\n"))
}

// answer reads the answer to a request with a method.
func (c *raw) answer(method string) (*http.Response, []byte) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("read answer: %v", err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("read answer's body: %v", err)
	}
	return resp, text
}

// ended fails the test unless the gateway closes the connection.
func (c *raw) ended() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if rest, err := io.ReadAll(c.in); len(rest) > 0 || isTimeout(err) {
		c.t.Errorf("the connection goes on: %q, %v", rest, err)
	}
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}

// patience is how long a test waits for what must happen soon; a passing test
// never waits it out.
const patience = time.Minute

// reset makes closing the connection look like a crash of the client.
func (c *raw) reset() {
	c.tcp.SetLinger(0)
	c.tcp.Close()
}

// half ends what the client sends, and lets it read on.
func (c *raw) half() { c.Conn.(interface{ CloseWrite() error }).CloseWrite() }
