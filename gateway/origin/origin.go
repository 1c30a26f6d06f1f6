// Package origin finds out where a request comes from: the address of its client,
// and the scheme and the host that the client used. Behind a proxy only the proxy
// knows; what it says is believed where its address is configured, and nothing of
// the kind is believed from anybody else.
//
// Read are X-Forwarded-For, whose elements are addresses with or without a port, the
// last one added by the nearest proxy; X-Forwarded-Proto; and X-Forwarded-Host. The
// client is the last address in the list that is no proxy itself: what stands before
// it the client may have written. RFC 7239's Forwarded is not read: a proxy that sets
// the one kind passes the other on as the client wrote it, and a server that reads
// both believes the client.
package origin

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// Origin is where a request comes from.
type Origin struct {
	// Client is the address of the client; not valid where there is none, as with a
	// socket of the machine.
	Client netip.Addr
	Scheme string // http or https
	Host   string // with the port, where it is not the scheme's; empty where it is no host
	// Forwarded says that a proxy was believed.
	Forwarded bool
}

// URL is the address that the client used, without a path; empty where it is not
// known.
func (o Origin) URL() string {
	if o.Host == "" {
		return ""
	}
	return o.Scheme + "://" + o.Host
}

// Proxies are the networks whose hosts are believed.
type Proxies []netip.Prefix

// Have reports whether an address is one of the proxies.
func (p Proxies) Have(a netip.Addr) bool {
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

// Of finds out where a request comes from. What a proxy says that is not well formed
// is as if it were not there.
func (p Proxies) Of(r *http.Request) Origin {
	o := Origin{Client: peer(r.RemoteAddr), Scheme: "http", Host: host(r.Host)}
	if r.TLS != nil {
		o.Scheme = "https"
	}
	if !p.Have(o.Client) {
		return o
	}
	o.Forwarded = true
	o.Client = p.client(o.Client, r.Header.Values("X-Forwarded-For"))
	if scheme := scheme(r); scheme == "http" || scheme == "https" {
		o.Scheme = scheme
	}
	if h := host(last(r.Header.Values("X-Forwarded-Host"))); h != "" {
		o.Host = h
	}
	return o
}

// Unbelieved reports whether a request came in the plain from one that is no proxy and
// says that the client used https: a proxy that is not configured, or a client that lies.
func (p Proxies) Unbelieved(r *http.Request) bool {
	return r.TLS == nil && scheme(r) == "https" && !p.Have(peer(r.RemoteAddr))
}

// scheme is what a request says that its client used, whoever says so.
func scheme(r *http.Request) string {
	return strings.ToLower(last(r.Header.Values("X-Forwarded-Proto")))
}

// client follows the list from its end. Where an element is no address, nothing
// before it can be believed, and the client is who sent it.
func (p Proxies) client(nearest netip.Addr, fields []string) netip.Addr {
	list := strings.Join(fields, ",")
	for list != "" && p.Have(nearest) {
		at := strings.LastIndexByte(list, ',')
		next, ok := address(strings.Trim(list[at+1:], " \t"))
		if !ok {
			break
		}
		nearest, list = next, list[:max(at, 0)]
	}
	return nearest
}

// peer is the other end of the connection.
func peer(remote string) netip.Addr {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap()
}

// address reads an address, or one with a port.
func address(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		with, perr := netip.ParseAddrPort(text)
		if perr != nil {
			return netip.Addr{}, false
		}
		a = with.Addr()
	}
	return a.Unmap(), a.Zone() == ""
}

// last is the last element of a list.
func last(fields []string) string {
	if len(fields) == 0 {
		return ""
	}
	list := fields[len(fields)-1]
	return strings.Trim(list[strings.LastIndexByte(list, ',')+1:], " \t")
}

// host returns a host, with or without a port, and nothing for what could not stand
// in the address of a server.
func host(text string) string {
	if len(text) > 255 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") != "" {
		return ""
	}
	return text
}

type key struct{}

// With returns a context that carries o.
func With(ctx context.Context, o Origin) context.Context { return context.WithValue(ctx, key{}, o) }

// From returns where the request of a context comes from, and the zero Origin
// where nobody found out.
func From(ctx context.Context) Origin {
	o, _ := ctx.Value(key{}).(Origin)
	return o
}
