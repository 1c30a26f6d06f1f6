package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"artifactstore/cas/digest"
)

// An upload answers to the principal that began it and to nobody else, not even one
// who may do everything.
func TestUploadsAnswerToTheirPrincipal(t *testing.T) {
	x := openTable(t)
	tenant, owner, other := persona{name: "tenant", named: true}, persona{name: "owner", named: true}, x.enter("neighbour", "push:team")
	status, h, _ := x.send(tenant, "POST", "/v2/team/app/blobs/uploads/", "")
	if status != 202 {
		t.Fatal(status)
	}
	at, digest := h.Get("Location"), newDigest(t, "a piece")
	unknown := strings.Repeat("0", 32)
	nothing := at[:strings.LastIndex(at, "/")+1] + unknown
	for _, who := range []persona{owner, other} {
		for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
			query := ""
			if method == "PUT" {
				query = "?digest=" + digest
			}
			a, _, mine := x.send(who, method, at+query, "a piece")
			b, _, none := x.send(who, method, nothing+query, "a piece")
			if a != 404 || a != b || mine != none {
				t.Errorf("%s %s: %d %s; of an unknown one %d %s", who.name, method, a, mine, b, none)
			}
		}
	}
	for _, step := range []struct {
		method, query, body string
		want                int
	}{{"PATCH", "", "a piece", 202}, {"GET", "", "", 204}, {"PUT", "?digest=" + digest, "", 201}} {
		if status, _, text := x.send(tenant, step.method, at+step.query, step.body); status != step.want {
			t.Errorf("%s: %d %s, want %d", step.method, status, text, step.want)
		}
	}
}

// Who may put into a package and not read it is not told what is in it.
func TestWhoMayOnlyPushReadsNothing(t *testing.T) {
	x := openTable(t)
	pusher := persona{name: "push-team", named: true}
	status, _, text := x.send(pusher, "PUT", "/v1/packages/team/open/1", "")
	if status != 200 || strings.Contains(text, "a.txt") || strings.Contains(text, `"files":[`) || !strings.Contains(text, `"state":"open"`) {
		t.Errorf("%d %s", status, text)
	}
	if _, _, text = x.send(persona{name: "tenant", named: true}, "PUT", "/v1/packages/team/open/1", ""); !strings.Contains(text, "a.txt") {
		t.Errorf("who may read it: %s", text)
	}
}

// What only some may read is kept by nobody else's cache.
func TestCachesArePrivate(t *testing.T) {
	x := openTable(t)
	for _, path := range []string{"/v1/blobs/" + x.digest["blob"], "/v2/team/app/blobs/" + x.digest["layer"]} {
		for _, who := range []persona{{name: "tenant", named: true}, {name: "owner", named: true}, {name: "anonymous-reader", gate: "pull:team"}} {
			status, h, _ := x.send(who, "GET", path, "")
			if got := h.Get("Cache-Control"); status != 200 || got != "private, max-age=31536000, immutable" {
				t.Errorf("%s: %s: %d %q", who.name, path, status, got)
			}
		}
	}
	// Where nobody is asked, everybody's may.
	open := openTable(t)
	resp, _ := open.house.request("GET", "/v1/blobs/"+open.digest["blob"], nil)
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("no gate: %q", got)
	}
}

// A class that keeps for less time takes admin, and saying so does not help others.
func TestShorteningTakesAdmin(t *testing.T) {
	x := openTable(t)
	x.owned("PUT", "/v1/packages/team/kept/1", `{"retention_class":"release"}`)
	for i, test := range []struct {
		grants []string
		want   int
	}{{[]string{"push:team"}, 409}, {[]string{"push:team", "admin:other"}, 409}, {[]string{"push:team", "admin:team"}, 200}} {
		who := x.enter(fmt.Sprint("shortener-", i), test.grants...)
		if status, _, text := x.send(who, "PUT", "/v1/packages/team/kept/1?force=true", `{"retention_class":"ephemeral"}`); status != test.want {
			t.Errorf("%v: %d %s, want %d", test.grants, status, text, test.want)
		}
	}
}

// newDigest returns the SHA-256 of a text.
func newDigest(t *testing.T, text string) string {
	t.Helper()
	h := digest.NewHasher()
	defer h.Release()
	h.Write([]byte(text))
	d, _ := h.Sum(digest.SHA256)
	return d.String()
}
