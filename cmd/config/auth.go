package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Auth says who may do what. Each section is empty without its mode.
type Auth struct {
	// Mode is empty where it was not written, which means none and is refused
	// with an address that other machines can reach.
	Mode Modes `yaml:"mode"`
	// Anonymous is what who gives no credentials may do.
	Anonymous []Grant `yaml:"anonymous"`
	// ExternalURL is the address under which clients reach the gateway, http or
	// https; empty is the one that a request was sent to.
	ExternalURL  string       `yaml:"external_url"`
	Tokens       []Token      `yaml:"tokens"` // besides those in the registry
	Htpasswd     Htpasswd     `yaml:"htpasswd"`
	OIDC         []Issuer     `yaml:"oidc"`
	Certificates Certificates `yaml:"certificates"`
}

// Token lets in who has a secret that the configuration knows by its hash alone.
type Token struct {
	Name string `yaml:"name"` // of the principal
	// TokenSHA256Ref is where the SHA-256 of the token is kept, as 64 hexadecimal
	// digits.
	TokenSHA256Ref Reference `yaml:"token_sha256_ref"`
	Allow          []Grant   `yaml:"allow"`
}

// Htpasswd lets in who knows a password.
type Htpasswd struct {
	File  string `yaml:"file"` // lines of name:hash, bcrypt only; read again when it changes
	Users []User `yaml:"users"`
}

// User is what one name may do.
type User struct {
	Name  string  `yaml:"name"`
	Allow []Grant `yaml:"allow"`
}

// Issuer lets in who has a JSON web token of an OpenID Connect issuer, such as a
// CI system.
type Issuer struct {
	Issuer   string `yaml:"issuer"`   // its URL: https, or http on this machine
	Audience string `yaml:"audience"` // that a token must be for
	// PrincipalClaim names the claim that is the principal where a rule names none;
	// sub, if not written.
	PrincipalClaim string      `yaml:"principal_claim"`
	CAFile         string      `yaml:"ca_file"` // PEM; replaces the system's authorities
	Rules          []ClaimRule `yaml:"rules"`   // the first match wins; what none matches is refused
}

// ClaimRule says what who has certain claims may do.
type ClaimRule struct {
	// Claims are patterns by the names of claims, all of which must match; never
	// empty.
	Claims    map[string]string `yaml:"claims"`
	Principal string            `yaml:"principal"` // empty is the issuer's principal claim
	Allow     []Grant           `yaml:"allow"`
}

// Certificates lets in who has a client certificate.
type Certificates struct {
	CAFile string `yaml:"ca_file"` // PEM; the authorities whose certificates are taken
	// Principals are what certificates may do, by patterns of [path.Match] over the
	// common name, which is the principal; the first match wins.
	Principals []User `yaml:"principals"`
}

// Hash returns the SHA-256 of the token. No error repeats it.
func (t Token) Hash(env []string) (sum [sha256.Size]byte, err error) {
	text, err := t.TokenSHA256Ref.Read(env)
	if err != nil {
		return sum, err
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(sum) {
		return sum, fmt.Errorf("what %s has is not a SHA-256; want 64 hexadecimal digits, as of: printf %%s TOKEN | sha256sum", t.TokenSHA256Ref)
	}
	return [sha256.Size]byte(raw), nil
}

// Grant is "verb:pattern", such as "push:ci-*": what somebody may do, and to what.
type Grant string

// verbs are what a grant can allow.
var verbs = []string{"pull", "push", "overwrite", "delete", "hold", "admin", "*"}

// maxPattern bounds the pattern of a grant, in bytes.
const maxPattern = 255

// UnmarshalText takes what package auth takes as a grant.
func (g *Grant) UnmarshalText(text []byte) error {
	verb, pattern, found := strings.Cut(string(text), ":")
	switch {
	case !found:
		return fmt.Errorf("%s is not a grant; want verb:pattern, such as pull:* or push:ci-*", quote(string(text)))
	case !slices.Contains(verbs, verb):
		return fmt.Errorf("%s is not a verb; want one of %s", quote(verb), strings.Join(verbs, ", "))
	case len(pattern) > maxPattern || !isPattern(pattern):
		return fmt.Errorf("%s is not a pattern of producers or repositories; want segments parted by \"/\", in which * stands for anything, such as team/*", quote(pattern))
	}
	*g = Grant(text)
	return nil
}

// isPattern refuses what could match nothing.
func isPattern(pattern string) bool {
	for segment := range strings.SplitSeq(pattern, "/") {
		if _, err := path.Match(segment, ""); err != nil || segment == "" {
			return false
		}
		if strings.ContainsFunc(segment, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
	}
	return true
}

// AuthMode is a way in which the gateway learns who is asking.
type AuthMode string

// The modes.
const (
	None             AuthMode = "none" // lets everybody do everything
	ModeTokens       AuthMode = "tokens"
	ModeHtpasswd     AuthMode = "htpasswd"
	ModeOIDC         AuthMode = "oidc"
	ModeCertificates AuthMode = "certificates"
)

// Modes are the ways in which the gateway learns who is asking: none alone, or
// one or several of the others. In a file they are one word or a list; in a
// variable they are parted by commas.
type Modes []AuthMode

// On reports whether anybody is asked who they are.
func (m Modes) On() bool { return len(m) > 0 && !m.Has(None) }

// Has reports whether a mode is one of them.
func (m Modes) Has(mode AuthMode) bool { return slices.Contains(m, mode) }

// UnmarshalText takes modes parted by commas, or nothing.
func (m *Modes) UnmarshalText(text []byte) error {
	*m = nil
	if len(text) == 0 {
		return nil
	}
	for mode := range strings.SplitSeq(string(text), ",") {
		*m = append(*m, AuthMode(strings.TrimSpace(mode)))
	}
	return nil
}

// MarshalYAML shows one mode as a word and several as a list.
func (m Modes) MarshalYAML() (any, error) {
	switch len(m) {
	case 0:
		return "", nil
	case 1:
		return string(m[0]), nil
	}
	return []AuthMode(m), nil
}

func (m Modes) supported() error {
	for i, mode := range m {
		switch mode {
		case None:
			if len(m) > 1 {
				return errors.New("none stands beside others; want it alone, or left out")
			}
		case ModeTokens, ModeHtpasswd, ModeOIDC, ModeCertificates:
		default:
			return fmt.Errorf("%s is not supported by this version; want %s, or one or several of %s, %s, %s and %s",
				quote(string(mode)), None, ModeTokens, ModeHtpasswd, ModeOIDC, ModeCertificates)
		}
		if slices.Contains(m[:i], mode) {
			return fmt.Errorf("%s is there twice", mode)
		}
	}
	return nil
}
