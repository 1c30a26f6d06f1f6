package main

import (
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
