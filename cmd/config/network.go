package config

import (
	"fmt"
	"net/netip"
)

// Network is a network's address and length, such as 10.0.0.0/8, or one address.
type Network string

// Prefix is the network.
func (n Network) Prefix() netip.Prefix {
	p, err := netip.ParsePrefix(string(n))
	if err != nil {
		a, _ := netip.ParseAddr(string(n)) // it was read as one
		return netip.PrefixFrom(a, a.BitLen())
	}
	return p
}

// UnmarshalText takes what [Network] says, but none that holds every address.
func (n *Network) UnmarshalText(text []byte) error {
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		a, aerr := netip.ParseAddr(string(text))
		if aerr != nil || a.Zone() != "" || a.Is4In6() {
			return fmt.Errorf("%s is not a network; want one such as 10.0.0.0/8, fd00::/8 or 192.0.2.7", quote(string(text)))
		}
		*n = Network(text)
		return nil
	}
	switch {
	case p.Bits() == 0:
		return fmt.Errorf("%s is everybody; want the networks of the proxies alone", quote(string(text)))
	case p.Masked() != p || p.Addr().Is4In6():
		return fmt.Errorf("%s is not a network; did you mean %s?", quote(string(text)), netip.PrefixFrom(p.Addr().Unmap(), min(p.Bits(), p.Addr().Unmap().BitLen())).Masked())
	}
	*n = Network(text)
	return nil
}
