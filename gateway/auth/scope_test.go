package auth

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseScopes(t *testing.T) {
	for text, want := range map[string][]Scope{
		"":                               nil,
		"  ":                             nil,
		"repository:team/app:pull":       {{"repository", "team/app", []string{"pull"}}},
		"repository:a:push,pull":         {{"repository", "a", []string{"push", "pull"}}},
		"repository(plugin):a:*":         {{"repository(plugin)", "a", []string{"*"}}},
		"registry:catalog:*":             {{"registry", "catalog", []string{"*"}}},
		"repository:a:":                  {{"repository", "a", []string{""}}},
		"image:a:sign repository:b:pull": {{"image", "a", []string{"sign"}}, {"repository", "b", []string{"pull"}}},
	} {
		got, err := ParseScopes(text)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
	if all, err := ParseScopes("repository:a:pull", "repository:b:pull registry:catalog:*"); err != nil || len(all) != 3 {
		t.Errorf("several: %v, %v", all, err)
	}
	for _, text := range []string{
		"repository", "repository:a", ":a:pull", "repository::pull", "repository:A:pull", "repository:a/../b:pull", "repository:/a:pull",
		"repository:a:PULL", "repository:a:pull;push", "repository:a:b:pull", "repository:*:pull", "Repository:a:pull", "repository:a%2fb:pull",
		"repository:" + strings.Repeat("a", 256) + ":pull", "repository:a:" + strings.Repeat("*,", maxActions) + "*", strings.Repeat("repository:a:pull ", maxScopes+1), "repository:=a:pull",
	} {
		if all, err := ParseScopes(text); err == nil {
			t.Errorf("%.80q is %v", text, all)
		} else if len(err.Error()) > 400 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

// Nothing is given that the principal may not do, and nothing that was not asked for.
func TestCut(t *testing.T) {
	p := Principal{Grants: grants(t, "pull:team", "push:team/app", "delete:*", "hold:*", "admin:*")}
	for scope, want := range map[string]string{
		"repository:team/app:pull,push":            "pull:=team/app push:=team/app",
		"repository:team/app:pull,pull":            "pull:=team/app",
		"repository:team/app:delete":               "delete:=team/app",
		"repository:team/app:*":                    "pull:=team/app push:=team/app delete:=team/app",
		"repository:team/x:push":                   "",
		"repository:other/x:pull,push":             "",
		"repository:team/app:hold,admin,overwrite": "",
		"repository(plugin):team/app:pull":         "pull:=team/app",
		"registry:catalog:*":                       "pull:team",
		"registry:catalog:pull":                    "",
		"registry:other:*":                         "",
		"image:team/app:pull":                      "",
	} {
		var got []string
		for _, g := range p.cut(scopes(t, scope)) {
			got = append(got, g.String())
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %q, want %q", scope, text, want)
		}
	}
	if all := (Principal{}).cut(scopes(t, "repository:a:* registry:catalog:*")); len(all) > 0 {
		t.Errorf("nobody may %v", all)
	}
}

// What is read is well formed, and reads again as the same; nobody may do more with a
// token than without.
func FuzzScopes(f *testing.F) {
	p := Principal{Grants: grants(f, "pull:team", "push:team/app/*", "delete:ci-*", "overwrite:team/app")}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseScopes(text)
		if err != nil {
			return
		}
		var again []string
		for _, s := range all {
			if !scopeName.MatchString(s.Name) || len(s.Name) > maxScopeName {
				t.Errorf("name %q", s.Name)
			}
			again = append(again, s.String())
		}
		if same, err := ParseScopes(again...); err != nil || !cmp.Equal(all, same) {
			t.Errorf("%v, %v", same, err)
		}
		for _, g := range p.cut(all) {
			on, alone := strings.CutPrefix(g.Pattern, alone)
			if alone && !p.May(g.Verb, Resource(on)) || !alone && !slices.Contains(p.Grants, g) {
				t.Errorf("%v is more than %v", g, p.Grants)
			}
			if again, err := ParseGrant(g.String()); err != nil || again != g {
				t.Errorf("%v, %v", again, err)
			}
		}
	})
}
