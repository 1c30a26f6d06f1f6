//go:build !unix

package postgres

import "net"

// quiet cannot tell here; a connection idle for a second is asked.
func quiet(net.Conn) bool { return true }
