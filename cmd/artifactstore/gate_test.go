package main

import (
	"os"
	"path/filepath"
	"testing"

	"artifactstore/cmd/config"
	"artifactstore/gateway/auth"
)

// What the configuration takes for a grant is what the gateway takes for one: it
// imports nothing, so it has the form written down again.
func FuzzGrantsAgree(f *testing.F) {
	for _, seed := range []string{"pull:*", "*:team/*", "push:", "read:*", "pull:[a", "pull:a b", "pull:a//b", "pull:ä", "admin:[!-~]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var g config.Grant
		configured := g.UnmarshalText([]byte(text))
		taken, parsed := auth.ParseGrant(text)
		if (configured == nil) != (parsed == nil) {
			t.Errorf("%q: the configuration says %v, the gateway %v", text, configured, parsed)
		}
		if parsed == nil && taken.String() != string(g) {
			t.Errorf("%q is %s and %s", text, taken, g)
		}
	})
}

// The same holds for the names that principals can have.
func TestNamesAgree(t *testing.T) {
	for _, name := range []string{"ci-7", "a.b+c_d", "Anonymous", "anonymous", "gateway", "operator", "rebuild", "a/b", "-a", "ä", ""} {
		file := filepath.Join(t.TempDir(), "auth.yaml")
		text := "auth: {mode: tokens, tokens: [{name: '" + name + "', token_sha256_ref: env:A, allow: ['pull:*']}]}"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, configured := config.Load(file, nil)
		if taken := auth.CheckName(name); (configured == nil) != (taken == nil) {
			t.Errorf("%q: the configuration says %v, the gateway %v", name, configured, taken)
		}
	}
}
