package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	shapes "artifactstore/deploy/house"
)

// list returns the versions of all packages that a query finds, in pages.
func (h *house) list(query string) (all []string) {
	h.t.Helper()
	for after, pages := "", 0; ; pages++ {
		_, text := h.do(200, "GET", "/v1/packages?"+query+after, "")
		var page struct {
			Packages []shown
			Next     string
		}
		if err := json.Unmarshal(text, &page); err != nil || page.Packages == nil {
			h.t.Fatalf("%v: %s", err, text)
		}
		for _, p := range page.Packages {
			all = append(all, p.Producer+"/"+p.Name+"/"+p.Version)
		}
		if page.Next == "" {
			return all
		}
		if after = "&after=" + url.QueryEscape(page.Next); pages > 20 {
			h.t.Fatal("the pages do not end")
		}
	}
}

func TestListPackages(t *testing.T) { everyHouse(t, listPackages) }

func listPackages(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	if got := h.list(""); len(got) != 0 {
		t.Errorf("%v", got)
	}
	h.do(201, "PUT", "/v1/packages/ci/app/1", `{"labels":{"branch":"main","os":"linux"}}`)
	h.do(201, "PUT", "/v1/packages/ci/app/2", `{"labels":{"branch":"main"},"retention_class":"release"}`)
	h.do(201, "PUT", "/v1/packages/ci/lib/1", `{"labels":{"branch":"a=b"}}`)
	h.do(201, "PUT", "/v1/packages/ann/app/1", ``)
	h.do(201, "PUT", "/v1/packages/ann/app/1/files/x", `x`)
	h.do(200, "POST", "/v1/packages/ann/app/1/seal", ``)
	for query, want := range map[string]string{
		"":                                   "ann/app/1 ci/app/1 ci/app/2 ci/lib/1",
		"limit=1":                            "ann/app/1 ci/app/1 ci/app/2 ci/lib/1",
		"limit=3":                            "ann/app/1 ci/app/1 ci/app/2 ci/lib/1",
		"producer=ci":                        "ci/app/1 ci/app/2 ci/lib/1",
		"producer=ci&name=app":               "ci/app/1 ci/app/2",
		"name=app":                           "ann/app/1 ci/app/1 ci/app/2",
		"state=sealed":                       "ann/app/1",
		"state=open&retention_class=release": "ci/app/2",
		"label=branch%3Dmain":                "ci/app/1 ci/app/2",
		"label=branch=main&label=os=linux":   "ci/app/1",
		"label=branch=a=b":                   "ci/lib/1",
		"label=branch=dev":                   "",
		"label=branch=main&limit=1":          "ci/app/1 ci/app/2",
		"producer=nobody":                    "",
	} {
		if got := strings.Join(h.list(query), " "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// A manifest that was pushed to a repository is a package like any other, and its
// key goes through a page's next.
func TestListManifests(t *testing.T) {
	h := open(t, changes{})
	for i := range 3 {
		h.do(201, "PUT", fmt.Sprintf("/v2/team/app/web/manifests/v%d", i),
			fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"n":"%d"}}`, i),
			"Content-Type", "application/vnd.oci.image.index.v1+json")
	}
	got := h.list("name=team/app/web&limit=1")
	if len(got) != 3 || !slices.IsSorted(got) || !strings.HasPrefix(got[0], "team/team/app/web/sha256:") {
		t.Errorf("%v", got)
	}
}

func TestHostileLists(t *testing.T) {
	h := open(t, changes{})
	long := strings.Repeat("x", 10_000)
	for _, query := range []string{
		"producer=", "producer=..", "producer=a/b", "producer=" + long, "producer=a&producer=b", "name=", "name=%00", "name=" + long,
		"state=", "state=gone", "retention_class=", "retention_class=a%0ab", "label=", "label=x", "label==x", "label=a=b&label=a=c",
		"label=a=%0d%0a", "label=" + long + "=x", strings.Repeat("label=a=b&", 70), "limit=0", "limit=-1", "limit=1001", "limit=1e2", "limit=",
		"after=", "after=x", "after=a/b", "after=a/b/c/d", "after=//", "after=%00/a/b", "after=" + long, "after=a/b/", "after=@sha256:00", "%zz", "a;b",
	} {
		h.refused(400, "parameter_invalid", "GET", "/v1/packages?"+query, "")
	}
	h.refused(400, "parameter_unknown", "GET", "/v1/packages?q=x", "")
	resp, text := h.request("POST", "/v1/packages", strings.NewReader("{}"))
	refusal(t, resp, text, 405, "method_not_allowed")
}

// Under a hold a package can be read, filled and sealed, and cannot be deleted.
func TestHolds(t *testing.T) { everyHouse(t, holdsOf) }

func holdsOf(t *testing.T, at shapes.House) {
	h := open(t, changes{at: at})
	h.refused(404, "package_unknown", "PUT", release+"/holds/legal", "")
	h.refused(404, "package_unknown", "DELETE", release+"/holds/legal", "")
	h.do(201, "PUT", release+"/files/a", "hello")
	resp, text := h.do(201, "PUT", release+"/holds/legal", "")
	if resp.Header.Get("Location") != release+"/holds/legal" || !strings.Contains(string(text), `"name":"legal"`) {
		t.Errorf("%v %s", resp.Header, text)
	}
	before := h.mark()
	h.do(200, "PUT", release+"/holds/legal", "")
	h.unchanged(before)
	h.do(201, "PUT", release+"/holds/case-7", "")
	_, text = h.do(200, "GET", release, "")
	var p struct {
		Holds []struct{ Name, Package, By, At string }
	}
	if err := json.Unmarshal(text, &p); err != nil || len(p.Holds) != 2 || p.Holds[0].Name != "case-7" || p.Holds[1].Name != "legal" ||
		p.Holds[0].Package != "ci/app/1.0" || p.Holds[0].By != "anonymous" || p.Holds[0].At == "" {
		t.Errorf("%v %s", err, text)
	}
	h.refused(409, "package_held", "DELETE", release, "")
	h.refused(404, "hold_unknown", "DELETE", release+"/holds/other", "")
	h.do(201, "PUT", release+"/files/b", "world")
	h.do(200, "POST", release+"/seal", "")
	h.do(204, "DELETE", release+"/holds/legal", "")
	h.refused(409, "package_held", "DELETE", release, "")
	h.do(204, "DELETE", release+"/holds/case-7", "")
	h.refused(404, "hold_unknown", "DELETE", release+"/holds/case-7", "")
	h.do(204, "DELETE", release, "")
	for _, path := range []string{"/holds", "/holds/", "/holds/..", "/holds/a/b", "/holds/a%2Fb", "/holds/-x", "/holds/" + strings.Repeat("x", 129), "/holds/a%00"} {
		h.refused(400, "path_invalid", "PUT", release+path, "")
	}
	resp, text = h.request("GET", release+"/holds/legal", nil)
	refusal(t, resp, text, 405, "method_not_allowed")
}
