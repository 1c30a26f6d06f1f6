package auth_test

import (
	"slices"
	"testing"

	"artifactstore/gateway/auth"
)

// A list that goes on where next says misses nothing that the principal may read.
func TestNextMissesNothing(t *testing.T) {
	all := []string{"a", "a-b/x", "a/x", "ci-1/tool", "ci-2/tool", "ci-2/tool/deep", "public/x", "team", "team/app", "team/app2", "team/app/web", "zoo/x"}
	slices.Sort(all)
	for _, grants := range [][]string{
		nil, {"pull:team/app"}, {"pull:ci-*"}, {"pull:*/x"}, {"pull:*"}, {"push:*"}, {"pull:zoo", "pull:a"}, {"pull:public/[xy]", "pull:ci-?/tool/deep"},
	} {
		p := principal(t, grants...)
		var want, got []string
		for _, name := range all {
			if p.May(auth.Pull, auth.Resource(name)) {
				want = append(want, name)
			}
		}
		looked := 0
		for after, more := "", true; more; {
			more = false
			for _, name := range all {
				if name <= after {
					continue
				}
				looked++
				if p.May(auth.Pull, auth.Resource(name)) {
					got = append(got, name)
					continue
				}
				next, ok := p.NextResource(auth.Pull, name)
				if ok && next < name {
					t.Fatalf("%v: from %s back to %s", grants, name, next)
				}
				if !ok || next > name {
					after, more = name, ok
					if ok {
						after = auth.Before(next)
					}
					break
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v", grants, got, want)
		}
		if len(grants) == 0 && looked > 1 {
			t.Errorf("%d names looked at for nothing", looked)
		}
	}
}

func TestNextProducer(t *testing.T) {
	p := principal(t, "pull:ci-*/tool", "pull:team/app")
	for _, test := range []struct{ at, want string }{
		{"a", "ci-"}, {"ci-7", "ci-7"}, {"d", "team"}, {"team", "team"}, {"zoo", ""},
	} {
		if got, ok := p.NextProducer(auth.Pull, test.at); got != test.want || ok != (test.want != "") {
			t.Errorf("from %q: %q, %t, want %q", test.at, got, ok, test.want)
		}
	}
}

func principal(t *testing.T, grants ...string) (p auth.Principal) {
	t.Helper()
	for _, s := range grants {
		g, err := auth.ParseGrant(s)
		if err != nil {
			t.Fatal(err)
		}
		p.Grants = append(p.Grants, g)
	}
	return p
}
