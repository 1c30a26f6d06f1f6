package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAuthIsRead(t *testing.T) {
	c, err := load("f.yaml", full, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Auth{
		Mode:        Modes{ModeTokens, ModeHtpasswd, ModeOIDC, ModeCertificates},
		Anonymous:   []Grant{"pull:public"},
		ExternalURL: "https://artifacts.example.org",
		Tokens:      []Token{{"ci", "env:CI_TOKEN_SHA256", []Grant{"push:ci-*", "pull:*"}}},
		Htpasswd:    Htpasswd{"htpasswd", []User{{"ann", []Grant{"*:*"}}}},
		OIDC: []Issuer{{
			"https://ci.example.org", "artifactstore", "repository", "ca.pem",
			[]ClaimRule{{map[string]string{"repository": "org/*", "https://x/y": "z"}, "ci-org", []Grant{"push:org"}}},
		}},
		Certificates: Certificates{"clients.pem", []User{{"build-*", []Grant{"push:*"}}}},
	}
	if diff := cmp.Diff(want, c.Auth); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestModes(t *testing.T) {
	for _, tc := range []struct {
		file, variable string
		want           Modes
		on             bool
	}{
		{"", "", nil, false},
		{"auth: {mode: none}", "", Modes{None}, false},
		{"auth: {mode: tokens}", "", Modes{ModeTokens}, true},
		{"auth: {mode: [tokens]}", "", Modes{ModeTokens}, true},
		{"auth: {mode: none}", "tokens", Modes{ModeTokens}, true},
		{"auth: {mode: tokens}", "none", Modes{None}, false},
		{"auth: {htpasswd: {file: f}}", "tokens, htpasswd", Modes{ModeTokens, ModeHtpasswd}, true},
	} {
		var env []string
		if tc.variable != "" {
			env = []string{"ARTIFACTSTORE_AUTH_MODE=" + tc.variable}
		}
		c, err := load("f.yaml", tc.file, env)
		if err != nil {
			t.Errorf("%q, %q: %v", tc.file, tc.variable, err)
			continue
		}
		if diff := cmp.Diff(tc.want, c.Auth.Mode); diff != "" || c.Auth.Mode.On() != tc.on {
			t.Errorf("%q, %q: on is %v; (-want +got):\n%s", tc.file, tc.variable, c.Auth.Mode.On(), diff)
		}
	}
}

// An address that others can reach needs a mode, any of them.
func TestListenNeedsMode(t *testing.T) {
	for mode, want := range map[string]bool{"none": true, "tokens": true, "": false} {
		file := "listen: 0.0.0.0:80"
		if mode != "" {
			file += "\nauth: {mode: " + mode + "}"
		}
		if _, err := load("f.yaml", file, nil); (err == nil) != want {
			t.Errorf("mode %q: %v", mode, err)
		}
	}
}

// What is written as the mode, and is empty, opens nothing: a variable that was meant
// to have a value is no way to say none.
func TestEmptyModeIsRefused(t *testing.T) {
	for _, tc := range []struct{ file, variable string }{
		{"auth: {mode: tokens}", "ARTIFACTSTORE_AUTH_MODE="},
		{"", "ARTIFACTSTORE_AUTH_MODE="},
		{"auth: {mode: []}", ""},
	} {
		if _, err := load("f.yaml", tc.file, []string{tc.variable}); err == nil || !strings.Contains(err.Error(), "auth.mode: is empty") {
			t.Errorf("%q, %q: %v", tc.file, tc.variable, err)
		}
	}
}

// A gateway on loopback that others reach through a proxy needs a mode too.
func TestProxiesNeedMode(t *testing.T) {
	for _, behind := range []string{"proxies: [127.0.0.1]", `auth: {external_url: "https://artifacts.example.org"}`} {
		if _, err := load("f.yaml", behind, nil); err == nil || !strings.Contains(err.Error(), "auth.mode is not written") {
			t.Errorf("%s: %v", behind, err)
		}
		if _, err := load("f.yaml", behind, []string{"ARTIFACTSTORE_AUTH_MODE=none"}); err != nil {
			t.Errorf("%s, none: %v", behind, err)
		}
	}
}

func TestPrincipalClaimIsSub(t *testing.T) {
	c, err := load("f.yaml", `auth: {mode: oidc, oidc: [{issuer: "http://127.0.0.1:9", audience: a, rules: [{claims: {sub: "*"}, allow: ["pull:*"]}]}]}`, nil)
	if err != nil || c.Auth.OIDC[0].PrincipalClaim != "sub" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestTokenHash(t *testing.T) {
	const hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" // of "hello"
	token := Token{TokenSHA256Ref: "env:H"}
	if sum, err := token.Hash([]string{"H=" + hash}); err != nil || sum[0] != 0x2c || sum[31] != 0x24 {
		t.Errorf("%x, %v", sum, err)
	}
	for _, text := range []string{"", "hello", hash[1:], hash + "00", strings.Repeat("g", 64)} {
		_, err := token.Hash([]string{"H=" + text})
		if err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
