package config

import (
	"net"
	"net/netip"
	"strconv"
)

// checkListen also refuses to be open to other machines by accident.
func (m *mistakes) checkListen(c *Config) {
	host, ok := m.checkAddress("listen", c.Listen)
	if !ok {
		return
	}
	if len(c.Auth.Mode) > 0 {
		return
	}
	if behind := c.behind(); behind != "" && isLoopback(host) && len(m.list) == 0 {
		m.add(behind, "says that others reach the gateway, and auth.mode is not written; write how clients say who they are, such as auth: {mode: tokens}, or write auth: {mode: none} to let everybody do everything")
	}
	if !isLoopback(host) {
		m.add("listen", "%s can be reached from other machines and auth.mode is not written; listen on 127.0.0.1, write how clients say who they are, such as auth: {mode: tokens}, or write auth: {mode: none} to let everybody do everything", quote(c.Listen))
	}
}

// behind is the key that says that something before the gateway lets others in, "" for none.
func (c *Config) behind() string {
	switch {
	case len(c.Proxies) > 0:
		return "proxies"
	case c.Auth.ExternalURL != "":
		return "auth.external_url"
	}
	return ""
}

// Loopback reports whether only this machine reaches the gateway.
func (c *Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && isLoopback(host)
}

// checkDebug refuses to show the inside of the process to other machines.
func (m *mistakes) checkDebug(d *Debug) {
	if d.Listen == "" {
		return
	}
	if host, ok := m.checkAddress("debug.listen", d.Listen); ok && !isLoopback(host) {
		m.add("debug.listen", "%s can be reached from other machines, and nobody is asked there who they are; want an address of this machine, such as 127.0.0.1:6060", quote(d.Listen))
	}
}

// checkAddress returns the host of an address to listen on.
func (m *mistakes) checkAddress(path, address string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		m.add(path, "%s is not an address; want host:port, such as 127.0.0.1:8080 or [::1]:8080", quote(address))
		return "", false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		m.add(path, "%s is not a port; want a number from 0 to 65535", quote(port))
		return "", false
	}
	return host, true
}

// isLoopback says whether only this machine reaches a host. It resolves no name
// but localhost; no host at all is every address of the machine.
func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.Unmap().IsLoopback()
}
