//go:build unix

package postgres

import (
	"crypto/tls"
	"net"
	"syscall"
)

// quiet reports whether a connection that nobody uses is as such a one should be:
// open, and with nothing to read. One that the server has closed, or on which it
// says why it is about to, is not. It sends nothing, waits for nothing, and costs
// one system call. It must not be a read of the connection: where a write was slow, pgx
// reads beside it, that read goes on until the next answer, and another would wait for it.
func quiet(conn net.Conn) bool {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	direct, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := direct.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = err == syscall.EAGAIN
	})
	return err == nil && silent
}
