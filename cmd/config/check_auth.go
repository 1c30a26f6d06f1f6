package config

import (
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// principalName is the form of a principal's name, which is that of a producer.
var principalName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)

const wantName = `want 1 to 128 letters, digits, ".", "_", "+" and "-", a letter or a digit first`

// checkAuth refuses sections that would say something that does not happen.
func (m *mistakes) checkAuth(a *Auth) {
	if err := a.Mode.supported(); err != nil {
		m.add("auth.mode", "%v", err)
		return
	}
	if len(a.Mode) == 0 && m.rank("auth.mode") == 2 {
		m.add("auth.mode", "is empty; want %s, or one or several of %s, %s, %s and %s", None, ModeTokens, ModeHtpasswd, ModeOIDC, ModeCertificates)
	}
	if len(a.Anonymous) > 0 && !a.Mode.On() {
		m.add("auth.anonymous", "stands beside mode none, which lets everybody do everything")
	}
	if a.ExternalURL != "" && !isAddress(a.ExternalURL) {
		m.add("auth.external_url", "is not an address; want one such as https://artifacts.example.org, without a path")
	}
	m.checkTokens(a)
	m.checkHtpasswd(a)
	m.checkOIDC(a)
	m.checkCertificates(a)
}

// needsMode refuses a section without its mode. It reports whether the section
// counts.
func (m *mistakes) needsMode(at string, a *Auth, mode AuthMode, there bool) bool {
	if there && !a.Mode.Has(mode) {
		m.add(at, "is there without its mode; write %s in auth.mode, or leave the section out", mode)
	}
	return a.Mode.Has(mode)
}

func (m *mistakes) checkTokens(a *Auth) {
	if !m.needsMode("auth.tokens", a, ModeTokens, len(a.Tokens) > 0) {
		return
	}
	for i, t := range a.Tokens {
		at := index("auth.tokens", i)
		m.checkName(at+".name", t.Name)
		if t.TokenSHA256Ref == "" {
			m.add(at+".token_sha256_ref", "is missing; want env:NAME or file:/path, where the SHA-256 of the token is")
		}
		m.checkAllow(at+".allow", t.Allow)
	}
}

func (m *mistakes) checkHtpasswd(a *Auth) {
	h := &a.Htpasswd
	if !m.needsMode("auth.htpasswd", a, ModeHtpasswd, h.File != "" || len(h.Users) > 0) {
		return
	}
	if h.File == "" {
		m.add("auth.htpasswd.file", "is missing; want a file of name:hash lines, as made by htpasswd -B")
	}
	m.checkUsers("auth.htpasswd.users", h.Users, func(at, name string) { m.checkName(at, name) })
}

func (m *mistakes) checkCertificates(a *Auth) {
	c := &a.Certificates
	if !m.needsMode("auth.certificates", a, ModeCertificates, c.CAFile != "" || len(c.Principals) > 0) {
		return
	}
	if c.CAFile == "" {
		m.add("auth.certificates.ca_file", "is missing; want a PEM file of the authorities whose client certificates are taken")
	}
	if len(c.Principals) == 0 {
		m.add("auth.certificates.principals", "is empty; want what certificates may do, by their common names")
	}
	m.checkUsers("auth.certificates.principals", c.Principals, func(at, name string) {
		if _, err := path.Match(name, ""); err != nil || name == "" {
			m.add(at, "%s is not a pattern of names; want one such as build-*", quote(name))
		}
	})
}

func (m *mistakes) checkUsers(path string, users []User, checkName func(at, name string)) {
	for i, u := range users {
		at := index(path, i)
		checkName(at+".name", u.Name)
		m.checkAllow(at+".allow", u.Allow)
		if j := slices.IndexFunc(users, func(other User) bool { return other.Name == u.Name }); j < i {
			m.add(at+".name", "%s is the name of %s too; want one entry", quote(u.Name), index(path, j))
		}
	}
}

func (m *mistakes) checkOIDC(a *Auth) {
	if !m.needsMode("auth.oidc", a, ModeOIDC, len(a.OIDC) > 0) {
		return
	}
	if len(a.OIDC) == 0 {
		m.add("auth.oidc", "is empty; want one issuer at least")
	}
	for i := range a.OIDC {
		m.checkIssuer(index("auth.oidc", i), a.OIDC[:i], &a.OIDC[i])
	}
}

func (m *mistakes) checkIssuer(at string, before []Issuer, o *Issuer) {
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		m.add(at+".issuer", "is not the URL of an issuer; want https://HOST, with a path where the issuer has one")
	}
	if o.Audience == "" {
		m.add(at+".audience", "is missing; want what a token must be for, so that tokens for other services are not taken")
	}
	if slices.ContainsFunc(before, func(b Issuer) bool { return b.Issuer == o.Issuer && b.Audience == o.Audience }) {
		m.add(at+".issuer", "is there twice with this audience; want one entry with the rules of both")
	}
	if o.PrincipalClaim == "" {
		m.add(at+".principal_claim", "is empty; want the name of a claim, such as sub")
	}
	if len(o.Rules) == 0 {
		m.add(at+".rules", "is empty; want one rule at least: what none matches is refused")
	}
	for i, r := range o.Rules {
		m.checkClaimRule(index(at+".rules", i), r)
	}
}

func (m *mistakes) checkClaimRule(at string, r ClaimRule) {
	if len(r.Claims) == 0 {
		m.add(at+".claims", `is empty; want one claim at least (sub: "*" lets in whoever the issuer knows)`)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Claims)) {
		if r.Claims[name] == "" || name == "" {
			m.add(join(at+".claims", name), "is empty; want the name of a claim and a pattern")
		}
	}
	if r.Principal != "" {
		m.checkName(at+".principal", r.Principal)
	}
	m.checkAllow(at+".allow", r.Allow)
}

// taken are the names under which the log has who is no principal, as package auth
// has them.
var taken = []string{"anonymous", "gateway", "operator", "rebuild"}

// checkName takes no name that stands for somebody else.
func (m *mistakes) checkName(at, name string) {
	switch {
	case name == "":
		m.add(at, "is missing; %s", wantName)
	case !principalName.MatchString(name):
		m.add(at, "%s is not a name; %s", quote(name), wantName)
	case slices.Contains(taken, name):
		m.add(at, "%s is not to be had as a name, nor is one of %s", name, strings.Join(taken, ", "))
	}
}

func (m *mistakes) checkAllow(at string, allow []Grant) {
	if len(allow) == 0 {
		m.add(at, "is empty, which lets nothing be done; want grants, such as pull:*")
	}
}

// completeAuth gives issuers the defaults that [Default] cannot hold.
func (m *mistakes) completeAuth(a *Auth) {
	for i := range a.OIDC {
		if m.rank(index("auth.oidc", i)+".principal_claim") == 0 {
			a.OIDC[i].PrincipalClaim = "sub"
		}
	}
}

// isAddress says whether a text is http or https and a host, without anything
// behind it.
func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == "" && (u.Path == "" || u.Path == "/")
}
