package config

import (
	"net"
	"net/netip"
	"strconv"
)

// checkListen also refuses to be open to other machines by accident.
func (m *mistakes) checkListen(c *Config) {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		m.add("listen", "%s is not an address; want host:port, such as 127.0.0.1:8080 or [::1]:8080", quote(c.Listen))
		return
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		m.add("listen", "%s is not a port; want a number from 0 to 65535", quote(port))
		return
	}
	if len(c.Auth.Mode) == 0 && !isLoopback(host) {
		m.add("listen", "%s can be reached from other machines and auth.mode is not written; listen on 127.0.0.1, write how clients say who they are, such as auth: {mode: tokens}, or write auth: {mode: none} to let everybody do everything", quote(c.Listen))
	}
}

// Loopback reports whether only this machine reaches the gateway.
func (c *Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && isLoopback(host)
}

// isLoopback says whether only this machine reaches a host. It resolves no name
// but localhost; no host at all is every address of the machine.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}
