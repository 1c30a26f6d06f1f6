package origin

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"testing"
)

var proxies = Proxies{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

func request(remote, host string, header ...string) *http.Request {
	r := &http.Request{RemoteAddr: remote, Host: host, Header: http.Header{}}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestOrigin(t *testing.T) {
	const to, proto, at = "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"
	for name, test := range map[string]struct {
		remote string
		header []string
		client string // "" for none
		url    string
	}{
		"no proxy":                    {"192.0.2.1:5", nil, "192.0.2.1", "http://a:80"},
		"a client that lies":          {"192.0.2.1:5", []string{to, "1.1.1.1", proto, "https", at, "evil"}, "192.0.2.1", "http://a:80"},
		"a client in IPv6 dress":      {"[::ffff:192.0.2.1]:5", []string{to, "1.1.1.1"}, "192.0.2.1", "http://a:80"},
		"a socket of the machine":     {"@", []string{to, "1.1.1.1"}, "", "http://a:80"},
		"a proxy":                     {"10.1.1.1:5", []string{to, "192.0.2.1", proto, "https", at, "b"}, "192.0.2.1", "https://b"},
		"a proxy in IPv6 dress":       {"[::ffff:10.1.1.1]:5", []string{to, "192.0.2.1"}, "192.0.2.1", "http://a:80"},
		"a proxy that says nothing":   {"10.1.1.1:5", nil, "10.1.1.1", "http://a:80"},
		"two proxies":                 {"10.1.1.1:5", []string{to, "192.0.2.1, 10.2.2.2"}, "192.0.2.1", "http://a:80"},
		"two proxies, two fields":     {"10.1.1.1:5", []string{to, "192.0.2.1", to, "10.2.2.2"}, "192.0.2.1", "http://a:80"},
		"a client that lies to it":    {"10.1.1.1:5", []string{to, "1.1.1.1,10.9.9.9 ,192.0.2.1"}, "192.0.2.1", "http://a:80"},
		"in two fields":               {"10.1.1.1:5", []string{to, "1.1.1.1", to, "192.0.2.1"}, "192.0.2.1", "http://a:80"},
		"proxies all the way":         {"10.1.1.1:5", []string{to, "10.3.3.3,10.2.2.2"}, "10.3.3.3", "http://a:80"},
		"with a port":                 {"10.1.1.1:5", []string{to, "192.0.2.1:4711"}, "192.0.2.1", "http://a:80"},
		"IPv6":                        {"[fd00::1]:5", []string{to, "2001:db8::7"}, "2001:db8::7", "http://a:80"},
		"IPv6 with a port":            {"10.1.1.1:5", []string{to, "[2001:db8::7]:1"}, "2001:db8::7", "http://a:80"},
		"IPv4 in IPv6 dress":          {"10.1.1.1:5", []string{to, "1.1.1.1, ::ffff:10.2.2.2"}, "1.1.1.1", "http://a:80"},
		"words":                       {"10.1.1.1:5", []string{to, "1.1.1.1, unknown"}, "10.1.1.1", "http://a:80"},
		"words behind a proxy":        {"10.1.1.1:5", []string{to, "1.1.1.1, unknown, 10.2.2.2"}, "10.2.2.2", "http://a:80"},
		"an empty element":            {"10.1.1.1:5", []string{to, "1.1.1.1,,10.2.2.2"}, "10.2.2.2", "http://a:80"},
		"an empty element at the end": {"10.1.1.1:5", []string{to, "1.1.1.1,"}, "10.1.1.1", "http://a:80"},
		"empty":                       {"10.1.1.1:5", []string{to, "", proto, "", at, ""}, "10.1.1.1", "http://a:80"},
		"a zone":                      {"10.1.1.1:5", []string{to, "fe80::1%eth0"}, "10.1.1.1", "http://a:80"},
		"a scheme of its own":         {"10.1.1.1:5", []string{proto, "javascript"}, "10.1.1.1", "http://a:80"},
		"a scheme in capitals":        {"10.1.1.1:5", []string{proto, "HTTPS"}, "10.1.1.1", "https://a:80"},
		"schemes":                     {"10.1.1.1:5", []string{proto, "http, https"}, "10.1.1.1", "https://a:80"},
		"hosts":                       {"10.1.1.1:5", []string{at, "evil, b:1"}, "10.1.1.1", "http://b:1"},
		"a host with more":            {"10.1.1.1:5", []string{at, `b",error="x`}, "10.1.1.1", "http://a:80"},
		"a host with a path":          {"10.1.1.1:5", []string{at, "b/c"}, "10.1.1.1", "http://a:80"},
		"a host with a user":          {"10.1.1.1:5", []string{at, "u@b"}, "10.1.1.1", "http://a:80"},
		"Forwarded is not read":       {"10.1.1.1:5", []string{"Forwarded", "for=1.1.1.1;proto=https;host=b"}, "10.1.1.1", "http://a:80"},
	} {
		o := proxies.Of(request(test.remote, "a:80", test.header...))
		var want netip.Addr
		if test.client != "" {
			want = netip.MustParseAddr(test.client)
		}
		if o.Client != want || o.URL() != test.url {
			t.Errorf("%s: %v, %q", name, o, o.URL())
		}
	}
	r := request("192.0.2.1:5", `a"b`)
	r.TLS = &tls.ConnectionState{}
	if o := Proxies(nil).Of(r); o.Scheme != "https" || o.URL() != "" {
		t.Errorf("%+v", o)
	}
	if o := From(With(t.Context(), Origin{Host: "h"})); o.Host != "h" || From(t.Context()) != (Origin{}) {
		t.Errorf("%+v", o)
	}
}

func TestUnbelieved(t *testing.T) {
	const proto = "X-Forwarded-Proto"
	for name, test := range map[string]struct {
		remote string
		header []string
		want   bool
	}{
		"no proxy that says https": {"192.0.2.1:5", []string{proto, "HTTPS"}, true},
		"after another":            {"192.0.2.1:5", []string{proto, "http, https"}, true},
		"no proxy that says http":  {"192.0.2.1:5", []string{proto, "http"}, false},
		"nothing said":             {"192.0.2.1:5", nil, false},
		"a proxy":                  {"10.1.1.1:5", []string{proto, "https"}, false},
	} {
		r := request(test.remote, "a", test.header...)
		if got := proxies.Unbelieved(r); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		r.TLS = &tls.ConnectionState{}
		if proxies.Unbelieved(r) {
			t.Errorf("%s, over TLS", name)
		}
	}
}

// Whatever a proxy sends, the client is an address, and who is no proxy is believed
// nothing.
func FuzzOf(f *testing.F) {
	f.Fuzz(func(t *testing.T, to, proto, at string) {
		header := []string{"X-Forwarded-For", to, "X-Forwarded-Proto", proto, "X-Forwarded-Host", at}
		o := proxies.Of(request("10.1.1.1:5", "a", header...))
		if !o.Client.IsValid() || o.Client.Zone() != "" || o.Client.Is4In6() || o.Scheme != "http" && o.Scheme != "https" || host(o.Host) == "" {
			t.Errorf("%+v", o)
		}
		// What a client writes before what the proxy adds changes nothing.
		honest := proxies.Of(request("10.1.1.1:5", "a", "X-Forwarded-For", "192.0.2.9"))
		lied := proxies.Of(request("10.1.1.1:5", "a", "X-Forwarded-For", to, "X-Forwarded-For", "192.0.2.9"))
		if honest.Client != lied.Client {
			t.Errorf("%v", lied.Client)
		}
		if o := proxies.Of(request("192.0.2.1:5", "a", header...)); o.Client != netip.MustParseAddr("192.0.2.1") || o.URL() != "http://a" {
			t.Errorf("%+v", o)
		}
	})
}
