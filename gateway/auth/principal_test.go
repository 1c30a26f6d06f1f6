package auth

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func grants(t testing.TB, texts ...string) (all []Grant) {
	t.Helper()
	for _, text := range texts {
		g, err := ParseGrant(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	return all
}

func TestPatterns(t *testing.T) {
	for _, tc := range []struct {
		pattern string
		covers  []Resource
		not     []Resource
	}{
		{"*", []Resource{Everything, "ci-7", "ci-7/tool", "team/app/web", "A"}, nil},
		{"*/*", []Resource{"ci-7/tool", "team/app/web"}, []Resource{Everything, "ci-7"}},
		{"ci-7", []Resource{"ci-7", "ci-7/tool", "ci-7/a/b"}, []Resource{Everything, "ci-77", "ci-", "CI-7", "x/ci-7", "ci-7.", " ci-7"}},
		{"ci-*", []Resource{"ci-7", "ci-", "ci-7/tool"}, []Resource{Everything, "ci", "xci-7", "Ci-7", "x/ci-7"}},
		{"team/app", []Resource{"team/app", "team/app/web"}, []Resource{"team", "team/apps", "team/ap", "team/app2/web", "x/team/app", "team//app", "/team/app"}},
		{"team/*", []Resource{"team/app", "team/app/web"}, []Resource{"team", "teams/app", "x/team/app", Everything}},
		{"team/*/web", []Resource{"team/app/web", "team/app/web/x"}, []Resource{"team/app", "team/web", "team/a/b/web"}},
		{"[ab]?", []Resource{"a1", "b2/x"}, []Resource{"c1", "a", "a12"}},
		{"a.b", []Resource{"a.b"}, []Resource{"a/b", "axb"}},
		{`a\*`, []Resource{"a*"}, []Resource{"ab"}},
		// An encoded, doubled or trailing slash is another segment, never a way around one.
		{"team", []Resource{"team", "team/", "team//x"}, []Resource{"/team", "%74eam", "team%2Fapp", "../team", "./team"}},
	} {
		p := Principal{Grants: grants(t, "pull:"+tc.pattern)}
		for _, on := range tc.covers {
			if !p.May(Pull, on) {
				t.Errorf("%q does not cover %q", tc.pattern, on)
			}
		}
		for _, on := range tc.not {
			if p.May(Pull, on) {
				t.Errorf("%q covers %q", tc.pattern, on)
			}
		}
	}
}

// No verb implies another, and "*" implies them all.
func TestVerbs(t *testing.T) {
	for _, granted := range append(Verbs(), Every) {
		p := Principal{Grants: []Grant{{granted, "a"}}}
		for _, asked := range Verbs() {
			want := asked == granted || granted == Every
			if p.May(asked, "a/b") != want || p.MaySomewhere(asked) != want {
				t.Errorf("with %s:a, %s is %v and somewhere %v; want %v", granted, asked, p.May(asked, "a/b"), p.MaySomewhere(asked), want)
			}
			if p.May(asked, "b") || p.May(asked, Everything) {
				t.Errorf("%s:a lets %s be done elsewhere", granted, asked)
			}
		}
	}
}

func TestDeniedByDefault(t *testing.T) {
	for _, p := range []Principal{{}, {Name: "root", Authenticated: true}, {Grants: []Grant{{}}}, {Grants: []Grant{{Pull, ""}}}, {Grants: []Grant{{"", "*"}}}, {Grants: []Grant{{Pull, "["}}}} {
		for _, v := range Verbs() {
			for _, on := range []Resource{Everything, "a", "a/b", "["} {
				if p.May(v, on) {
					t.Errorf("%+v may %s %q", p, v, on)
				}
			}
		}
	}
}

// Grants only add up: what several allow is what each of them does.
func TestGrantsAddUp(t *testing.T) {
	segment := rapid.SampledFrom([]string{"a", "b", "ab", "*", "a*", "?"})
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.Custom(func(t *rapid.T) string {
			s := segment.Draw(t, "segment")
			for range rapid.IntRange(0, 2).Draw(t, "more") {
				s += "/" + segment.Draw(t, "segment")
			}
			return s
		})
		grant := rapid.Custom(func(t *rapid.T) Grant {
			return Grant{rapid.SampledFrom(append(Verbs(), Every)).Draw(t, "verb"), pattern.Draw(t, "pattern")}
		})
		all := rapid.SliceOfN(grant, 0, 4).Draw(t, "grants")
		v := rapid.SampledFrom(Verbs()).Draw(t, "asked")
		on := Resource(rapid.StringMatching(`[ab]{1,2}(/[ab]{1,2}){0,2}`).Draw(t, "on"))
		one := false
		for _, g := range all {
			one = one || Principal{Grants: []Grant{g}}.May(v, on)
		}
		if got := (Principal{Grants: all}).May(v, on); got != one {
			t.Fatalf("%v together: %v; each alone: %v", all, got, one)
		}
	})
}

func TestParseGrant(t *testing.T) {
	for text, want := range map[string]Grant{
		"pull:*": {Pull, "*"}, "*:*": {Every, "*"}, "push:ci-*": {Push, "ci-*"}, "delete:team/app": {Delete, "team/app"}, "hold:[a-c]": {Hold, "[a-c]"},
	} {
		g, err := ParseGrant(text)
		if err != nil || g != want || g.String() != text {
			t.Errorf("%s is %+v, %v", text, g, err)
		}
	}
	for _, text := range []string{
		"", "pull", ":", "pull:", ":*", "PULL:*", "pull :*", "read:*", "pull:/", "pull:a/", "pull:/a", "pull:a//b", "pull:[", "pull:a b", "pull:ä", "pull:a\x00", "pull:a\n",
		"**:a", "pull,push:*", "pull:" + string(make([]byte, 256)),
	} {
		if g, err := ParseGrant(text); err == nil {
			t.Errorf("%q is %+v", text, g)
		}
	}
}

func FuzzParseGrant(f *testing.F) {
	for _, seed := range []string{"pull:*", "push:ci-[0-9]", "*:a/b", "pull:[", `pull:\`} {
		f.Add(seed, "a/b")
	}
	f.Fuzz(func(t *testing.T, text, on string) {
		g, err := ParseGrant(text)
		if err != nil {
			return
		}
		if g.String() != text {
			t.Errorf("%q is shown as %q", text, g)
		}
		may := Principal{Grants: []Grant{g}}.May(Pull, Resource(on))
		if may && g.Pattern != "*" && !(Principal{Grants: []Grant{g}}).May(Pull, Resource(on+"/below")) {
			t.Errorf("%q covers %q and not what lies below", text, on)
		}
		if may && on == "" && g.Pattern != "*" {
			t.Errorf("%q covers everything", text)
		}
	})
}

// What a request needs is decided by its principal, and a request of which nothing
// was decided is known.
func TestRequire(t *testing.T) {
	p := Principal{Name: "ci", Grants: grants(t, "push:ci"), Authenticated: true}
	for _, tc := range []struct {
		who  Principal
		ask  func(context.Context) error
		want *Refused
	}{
		{p, func(ctx context.Context) error { return Require(ctx, Push, "ci/x") }, nil},
		{p, func(ctx context.Context) error { return Require(ctx, Pull, "ci/x") }, &Refused{Verb: Pull, Resource: "ci/x"}},
		{p, func(ctx context.Context) error { return RequireSomewhere(ctx, Push) }, nil},
		{p, func(ctx context.Context) error { return RequireSomewhere(ctx, Admin) }, &Refused{Verb: Admin}},
		{Principal{}, func(ctx context.Context) error { return Require(ctx, Pull, "a") }, &Refused{Verb: Pull, Resource: "a", Unauthenticated: true}},
		{Principal{}, func(ctx context.Context) error { Public(ctx); return nil }, nil},
	} {
		ctx := With(t.Context(), tc.who)
		if Decided(ctx) {
			t.Error("decided before anything was asked")
		}
		var got *Refused
		if err := tc.ask(ctx); err != nil && !errors.As(err, &got) {
			t.Errorf("%v", err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if !Decided(ctx) || From(ctx).Name != tc.who.Name {
			t.Error("what was asked is not known")
		}
	}
	if Decided(t.Context()) {
		t.Error("a request without a principal counts as decided")
	}
}
