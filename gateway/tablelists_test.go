package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Lists show what their reader may read, whole and in order, in pages none of which
// names anything else, not even as the place where to go on.
func TestListsShowWhatOneMayRead(t *testing.T) {
	x := openTable(t)
	for _, producer := range []string{"alpha", "mid-1", "mid-2", "zulu"} {
		for i := range 9 {
			x.owned("PUT", fmt.Sprintf("/v1/packages/%s/tool-%d/1", producer, i), "")
			repository := fmt.Sprintf("%s/app-%d", producer, i%3)
			for _, name := range []string{"config", "layer"} {
				x.owned("POST", "/v2/"+repository+"/blobs/uploads/?digest="+x.digest[name], "the tenant's "+name)
			}
			x.owned("PUT", "/v2/"+repository+"/manifests/latest", x.image(fmt.Sprint(i)), "Content-Type", imageType)
		}
	}
	owner := persona{name: "owner", named: true}
	packages, repositories := x.packages(owner, 1000), x.catalog(owner, 1000)
	for i, test := range []struct {
		grants []string
		may    func(resource string) bool
	}{
		{[]string{"pull:mid-*"}, func(s string) bool { return strings.HasPrefix(s, "mid-") }},
		{[]string{"pull:zulu/tool-3", "pull:alpha/app-1"}, func(s string) bool { return s == "zulu/tool-3" || s == "alpha/app-1" }},
		{[]string{"pull:*/*-2"}, func(s string) bool { return strings.HasSuffix(s, "-2") }},
		{[]string{"pull:team", "push:*"}, func(s string) bool { return strings.HasPrefix(s, "team/") }},
		{[]string{"pull:nobody"}, func(string) bool { return false }},
		{[]string{"pull:*"}, func(string) bool { return true }},
	} {
		who := x.enter(fmt.Sprint("reader-", i), test.grants...)
		only := func(list []string) []string {
			return slices.DeleteFunc(slices.Clone(list), func(s string) bool {
				at := strings.LastIndexAny(s, "/@")
				return !test.may(s) && (at < 0 || !test.may(s[:at]))
			})
		}
		for _, limit := range []int{1, 4, 1000} {
			if got, want := x.packages(who, limit), only(packages); !slices.Equal(got, want) {
				t.Errorf("%v, pages of %d: packages %v, want %v", test.grants, limit, got, want)
			}
			want := slices.DeleteFunc(slices.Clone(repositories), func(s string) bool { return !test.may(s) })
			if got := x.catalog(who, limit); !slices.Equal(got, want) {
				t.Errorf("%v, pages of %d: repositories %v, want %v", test.grants, limit, got, want)
			}
		}
	}
}

// packages reads the list of packages to its end. A package that a page names as the
// place to go on from must be one that the reader sees.
func (x *table) packages(who persona, limit int) (all []string) {
	x.t.Helper()
	var cursors []string
	for after := ""; ; {
		status, _, text := x.send(who, "GET", "/v1/packages?limit="+fmt.Sprint(limit)+after, "")
		var page struct {
			Packages []struct{ Producer, Name, Version, Format string }
			Next     string
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil || status != 200 || len(page.Packages) > limit {
			x.t.Fatalf("%d %v %s", status, err, text)
		}
		for _, p := range page.Packages {
			if p.Format == "oci" {
				all = append(all, p.Name+"@"+p.Version)
			} else {
				all = append(all, p.Producer+"/"+p.Name+"/"+p.Version)
			}
		}
		if page.Next == "" {
			break
		}
		cursors = append(cursors, page.Next)
		after = "&after=" + url.QueryEscape(page.Next)
	}
	for _, c := range cursors {
		if !slices.Contains(all, c) {
			x.t.Errorf("%s: the list went on after %s, which it did not show", who.name, c)
		}
	}
	return all
}

// catalog reads the list of repositories to its end.
func (x *table) catalog(who persona, limit int) (all []string) {
	x.t.Helper()
	for path := fmt.Sprint("/v2/_catalog?n=", limit); path != ""; {
		status, h, text := x.send(who, "GET", path, "")
		var page struct{ Repositories []string }
		if err := json.Unmarshal([]byte(text), &page); err != nil || status != 200 || len(page.Repositories) > limit {
			x.t.Fatalf("%d %v %s", status, err, text)
		}
		all = append(all, page.Repositories...)
		path = next(h)
		if path != "" && !strings.Contains(path, url.QueryEscape(all[len(all)-1])) {
			x.t.Errorf("%s: the list goes on at %s, which it did not show", who.name, path)
		}
	}
	return all
}

// next is the path of a Link field.
func next(h http.Header) string {
	path, _, _ := strings.Cut(strings.TrimPrefix(h.Get("Link"), "<"), ">")
	return path
}
