package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/deploy/house"
	"artifactstore/registry"
)

func primary(t testing.TB, content []byte) digest.Digest {
	t.Helper()
	d, err := digest.Parse(sha256(content))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A mount shows a blob in another repository, without its bytes; what cannot be
// mounted, for whatever reason, becomes an upload like any other.
func TestMount(t *testing.T) {
	everywhere(t, house.All(), func(t *testing.T, g *gate) {
		content, lost := random(300, 1000), random(301, 1000)
		d := g.push("from", content)
		g.push("from", lost)
		if err := g.Backend.Delete(t.Context(), primary(t, lost).Key()); err != nil {
			t.Fatal(err)
		}
		g.do("GET", blob("from", sha256(lost)), nil).refuses(404, "BLOB_UNKNOWN")
		mount := func(to, d, from string) answer {
			return g.do("POST", uploads(to)+"?mount="+d+from, nil)
		}
		mount("to", d, "&from=from").is(201).has("Location", blob("to", d)).has("Docker-Content-Digest", d)
		g.mustPull("to", d, content)
		mount("anonymous", d, "").is(201)
		mount("blake3", sum(digest.BLAKE3, content), "&from=from").is(201).has("Docker-Content-Digest", sum(digest.BLAKE3, content))
		var answers []string
		for name, a := range map[string]answer{
			"no such repository":    mount("x", d, "&from=nobody"),
			"not shown there":       mount("x", g.push("elsewhere", random(302, 10)), "&from=from"),
			"no such blob":          mount("x", sha256([]byte("never")), "&from=from"),
			"no such blob anywhere": mount("x", sha256([]byte("never")), ""),
			"lost":                  mount("x", sha256(lost), "&from=from"),
			"lost, from anywhere":   mount("x", sha256(lost), ""),
		} {
			a.is(202)
			names := []string{fmt.Sprint(len(a.text))}
			for field := range a.Header {
				names = append(names, field)
			}
			slices.Sort(names)
			answers = append(answers, strings.Join(names, " "))
			if answers[0] != answers[len(answers)-1] {
				t.Errorf("%s: the answer can be told from the others: %q", name, answers)
			}
			g.do("PUT", a.location()+"?digest="+sha256([]byte(name)), name).is(201)
		}
		g.do("GET", blob("x", d), nil).refuses(404, "BLOB_UNKNOWN")

		// What one repository gives up others keep.
		g.do("DELETE", blob("from", d), nil).is(202)
		g.do("HEAD", blob("from", d), nil).is(404)
		g.do("DELETE", blob("from", d), nil).refuses(404, "BLOB_UNKNOWN")
		mount("x", d, "&from=from").is(202)
		g.mustPull("to", d, content)
		g.do("DELETE", blob("to", d), nil).is(202)
		g.do("GET", blob("to", d), nil).refuses(404, "BLOB_UNKNOWN")
		g.mustPull("anonymous", d, content)
		g.sound()
	})
}

// What a manifest names stays while the manifest does; a manifest goes with its
// tags, a tag alone.
func TestDelete(t *testing.T) {
	everywhere(t, house.Ends(), func(t *testing.T, g *gate) {
		content := random(310, 1000)
		m := g.pushImage("a", "v1", "", content)
		g.do("PUT", manifest("a", sha256(m))+"?tag=v2&tag=v3", m, "Content-Type", image).is(201)
		g.pushImage("b", "v1", "", content)
		for _, d := range []string{sha256(content), sha256(m), sum(digest.BLAKE3, content)} {
			a := g.do("DELETE", blob("a", d), nil).refuses(405, "UNSUPPORTED").has("Allow", "GET, HEAD")
			if !strings.Contains(string(a.text), sha256(m)) {
				t.Errorf("it does not say what needs the blob: %s", a.text)
			}
		}
		g.mustPull("a", sha256(content), content)
		g.do("DELETE", manifest("a", "v1"), nil).is(202)
		g.do("DELETE", manifest("a", "v1"), nil).refuses(404, "MANIFEST_UNKNOWN")
		g.do("HEAD", manifest("a", "v1"), nil).is(404)
		g.do("GET", manifest("a", "v2"), nil).is(200)
		g.do("GET", manifest("a", sha256(m)), nil).is(200)
		g.do("DELETE", manifest("a", sum(digest.BLAKE3, m)), nil).is(202)
		for _, reference := range []string{"v2", "v3", sha256(m)} {
			g.do("GET", manifest("a", reference), nil).refuses(404, "MANIFEST_UNKNOWN")
			g.do("DELETE", manifest("a", reference), nil).refuses(404, "MANIFEST_UNKNOWN")
		}
		g.do("DELETE", blob("a", sha256(content)), nil).is(202)
		g.do("GET", blob("a", sha256(content)), nil).refuses(404, "BLOB_UNKNOWN")
		g.do("GET", manifest("b", sha256(m)), nil).is(200)
		g.mustPull("b", sha256(content), content)
		g.do("GET", "/v2/_catalog", nil).is(200)
		g.sound()
	})
}

// What is held cannot be deleted, and its answer says why.
func TestDeleteHeld(t *testing.T) {
	g := quick(t)
	m := g.pushImage("a", "v1", "")
	g.hold("a", m, true)
	g.do("DELETE", manifest("a", sha256(m)), nil).refuses(405, "DENIED").has("Allow", "GET, HEAD, PUT")
	g.do("GET", manifest("a", "v1"), nil).is(200)
	g.hold("a", m, false)
	g.do("DELETE", manifest("a", sha256(m)), nil).is(202)
}

// hold puts a manifest under a hold, or releases it.
func (g *gate) hold(repository string, m []byte, held bool) {
	g.t.Helper()
	k := registry.PackageKey{Producer: repository, Name: repository, Version: sha256(m)}
	data := registry.Data(registry.PackageReleased{Package: k, Hold: "audit"})
	if held {
		data = registry.PackageHeld{Package: k, Hold: "audit"}
	}
	if _, err := g.Registry.Append(context.Background(), registry.Event{Actor: "ann", Data: data}); err != nil {
		g.t.Fatal(err)
	}
}

// Pushing again heals what was lost, and until then nobody is told it is there.
func TestHeal(t *testing.T) {
	everywhere(t, house.Ends(), func(t *testing.T, g *gate) {
		content := random(320, 700<<10)
		d := sha256(content)
		m := g.pushImage("a", "v1", "", content)
		lose := func(content []byte) {
			t.Helper()
			if err := g.Backend.Delete(t.Context(), primary(t, content).Key()); err != nil {
				t.Fatal(err)
			}
		}
		for name, way := range ways {
			lose(content)
			g.do("GET", blob("a", d), nil).refuses(404, "BLOB_UNKNOWN")
			g.do("HEAD", blob("a", d), nil).is(404)
			g.do("PUT", manifest("a", "v2"), m, "Content-Type", image).refuses(400, "MANIFEST_BLOB_UNKNOWN")
			if a := way(g, "a", content, d); a.StatusCode != 201 {
				t.Errorf("%s: %s: %s", name, a.Status, a.text)
			}
			g.mustPull("a", d, content)
		}
		lose(m)
		for _, reference := range []string{"v1", sha256(m)} {
			g.do("GET", manifest("a", reference), nil).refuses(404, "MANIFEST_UNKNOWN")
			g.do("HEAD", manifest("a", reference), nil).is(404)
		}
		g.do("PUT", manifest("a", "v1"), m, "Content-Type", image).is(201)
		if a := g.do("GET", manifest("a", "v1"), nil).is(200); !bytes.Equal(a.text, m) {
			t.Errorf("healed as %q", a.text)
		}
		g.sound()
	})
}

// Many clients push images that share layers: all succeed, and there is one
// object for each blob.
func TestPushAtOnce(t *testing.T) {
	everywhere(t, house.Ends(), func(t *testing.T, g *gate) {
		const clients = 64
		shared := [][]byte{random(330, 300<<10), random(331, 90<<10), random(332, 1000)}
		objects := map[string]bool{}
		var mu sync.Mutex
		note := func(content []byte) {
			mu.Lock()
			defer mu.Unlock()
			objects[sha256(content)] = true
		}
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				repository := fmt.Sprintf("team/%d", i%4)
				cfg := fmt.Appendf(nil, `{"n":%d}`, i)
				for j, content := range append(shared, cfg) {
					note(content)
					var a answer
					if (i+j)%2 == 0 {
						a = g.do("POST", uploads(repository)+"?digest="+sha256(content), content)
					} else {
						at := g.do("POST", uploads(repository), nil).location()
						a = g.do("PATCH", at, bytes.NewReader(content))
						a = g.do("PUT", a.location()+"?digest="+sha256(content), nil)
					}
					if a.StatusCode != 201 {
						t.Errorf("client %d, blob %d: %s: %s", i, j, a.Status, a.text)
					}
				}
				m := imageOf(cfg, "", shared...)
				note(m)
				if a := g.do("PUT", manifest(repository, fmt.Sprintf("v%d", i)), m, "Content-Type", image); a.StatusCode != 201 {
					t.Errorf("client %d: %s: %s", i, a.Status, a.text)
				}
			})
		}
		all.Wait()
		n := 0
		for info, err := range g.Backend.List(context.Background(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			if n++; !objects["sha256:"+info.Key[len(info.Key)-64:]] {
				t.Errorf("object %s", info.Key)
			}
		}
		if n != len(objects) {
			t.Errorf("%d objects, %d blobs", n, len(objects))
		}
		for i := range clients {
			g.do("GET", manifest(fmt.Sprintf("team/%d", i%4), fmt.Sprintf("v%d", i)), nil).is(200)
		}
		g.sound()
	})
}

// pages follows the links of a list to its end, and returns what each page has
// under a name.
func (g *gate) pages(path, name string) (all []string, pages int) {
	g.t.Helper()
	for path != "" {
		a := g.do("GET", path, nil).is(200).has("Content-Type", "application/json")
		var page map[string]json.RawMessage
		var list []string
		if err := json.Unmarshal(a.text, &page); err != nil || json.Unmarshal(page[name], &list) != nil || list == nil {
			g.t.Fatalf("%s: %.200s", path, a.text)
		}
		all = append(all, list...)
		pages++
		path = a.next()
	}
	return all, pages
}

// next returns the path that the answer's link leads to, "" without one.
func (a answer) next() string {
	a.t.Helper()
	link := a.Header.Get("Link")
	if link == "" {
		return ""
	}
	path, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
	if !ok || !strings.HasPrefix(path, "/v2/") {
		a.t.Fatalf("link %q", link)
	}
	return path
}

// Lists come in pages of a bounded size, in byte order, and the pages together
// have each name once.
func TestLists(t *testing.T) {
	everywhere(t, house.Ends(), func(t *testing.T, g *gate) {
		m := g.pushImage("many", "first", "")
		d := primary(t, m)
		tags, repositories := []string{"first"}, []string{"many"}
		var events []registry.Event
		for i := range 1205 {
			tag, repository := fmt.Sprintf("V%d_.-x", i), fmt.Sprintf("r%d/x", i)
			tags, repositories = append(tags, tag), append(repositories, repository)
			producer, _, _ := strings.Cut(repository, "/")
			events = append(events,
				registry.Event{Actor: "ann", Data: registry.TagSet{Repository: "many", Tag: tag, Manifest: d}},
				registry.Event{Actor: "ann", Data: registry.PackageCreated{
					Package: registry.PackageKey{Producer: producer, Name: repository, Version: d.String()},
					Format:  registry.FormatOCI, RetentionClass: "standard", OCI: &registry.OCI{MediaType: image}, Manifest: d,
				}})
		}
		if _, err := g.Registry.Append(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		slices.Sort(tags)
		slices.Sort(repositories)
		for _, list := range []struct {
			path, name string
			want       []string
		}{{"/v2/many/tags/list", "tags", tags}, {"/v2/_catalog", "repositories", repositories}} {
			for query, pages := range map[string]int{"": 2, "?n=1000": 2, "?n=100000": 2, "?n=603": 2, "?n=402": 3, "?n=500&unknown=1": 3} {
				if got, n := g.pages(list.path+query, list.name); !slices.Equal(got, list.want) || n != pages {
					t.Errorf("%s%s: %d names of %d in %d pages of %d", list.path, query, len(got), len(list.want), n, pages)
				}
			}
			if got, _ := g.pages(list.path+"?last="+url.QueryEscape(list.want[1200]), list.name); !slices.Equal(got, list.want[1201:]) {
				t.Errorf("%s after the 1201st: %q", list.path, got)
			}
			if got, _ := g.pages(list.path+"?last=zzz&n=3", list.name); len(got) != 0 {
				t.Errorf("%s after the end: %q", list.path, got)
			}
			a := g.do("GET", list.path+"?n=0", nil).is(200).has("Link", "")
			if !strings.Contains(string(a.text), `"`+list.name+`":[]`) {
				t.Errorf("%s", a.text)
			}
			g.do("HEAD", list.path, nil).is(200)
		}
		g.do("GET", "/v2/nobody/tags/list", nil).refuses(404, "NAME_UNKNOWN")
	})
}

// listedReferrer is an entry of a list of referrers.
type listedReferrer struct {
	MediaType, Digest, ArtifactType string
	Size                            int
	Annotations                     map[string]string
}

// referrers follows the pages of a list of referrers.
func (g *gate) referrers(path string, each func(answer)) (all []listedReferrer, pages int) {
	g.t.Helper()
	for path != "" {
		a := g.do("GET", path, nil).is(200).has("Content-Type", index)
		var page struct {
			SchemaVersion int
			MediaType     string
			Manifests     []listedReferrer
		}
		if err := json.Unmarshal(a.text, &page); err != nil || page.SchemaVersion != 2 || page.MediaType != index || page.Manifests == nil {
			g.t.Fatalf("%s: %.300s", path, a.text)
		}
		if len(a.text) > 4<<20 {
			g.t.Errorf("%s: %d bytes", path, len(a.text))
		}
		if each != nil {
			each(a)
		}
		all = append(all, page.Manifests...)
		pages++
		path = a.next()
	}
	return all, pages
}

// Referrers are found whatever digest the subject is called by, whether or not
// it is there, once each, filtered and in pages.
func TestReferrers(t *testing.T) {
	everywhere(t, house.Ends(), func(t *testing.T, g *gate) {
		subject := g.pushImage("a", "subject", "")
		path := "/v2/a/referrers/" + sha256(subject)
		if none, _ := g.referrers(path, nil); len(none) != 0 {
			t.Errorf("%+v", none)
		}
		g.referrers("/v2/nobody/referrers/"+sha256(subject), nil)
		want := map[string]string{}
		for i := range 7 {
			more := fmt.Sprintf(`,"subject":%s,"artifactType":"test/%d","annotations":{"n":"%d"}`, descriptor(image, subject), i%2, i)
			m := imageOf([]byte("{}"), more)
			for _, reference := range []string{sha256(m), fmt.Sprintf("tag%d", i)} {
				g.do("PUT", manifest("a", reference), m, "Content-Type", image).is(201).has("Oci-Subject", sha256(subject))
			}
			want[sha256(m)] = fmt.Sprintf("test/%d n=%d size=%d", i%2, i, len(m))
		}
		for query, most := range map[string]int{"": 7, "?n=3": 3, "?n=1": 1} {
			got, pages := g.referrers(path+query, func(a answer) { a.has("Oci-Filters-Applied", "") })
			if len(got) != 7 || pages != (7+most-1)/most {
				t.Errorf("%s: %d in %d pages", query, len(got), pages)
			}
			for _, r := range got {
				if text := fmt.Sprintf("%s n=%s size=%d", r.ArtifactType, r.Annotations["n"], r.Size); want[r.Digest] != text || r.MediaType != image {
					t.Errorf("%+v, want %s", r, want[r.Digest])
				}
			}
		}
		got, pages := g.referrers(path+"?artifactType=test%2F1&n=2", func(a answer) { a.has("Oci-Filters-Applied", "artifactType") })
		if len(got) != 3 || pages != 2 {
			t.Errorf("filtered: %+v in %d pages", got, pages)
		}
		if got, _ := g.referrers("/v2/a/referrers/"+sum(digest.BLAKE3, subject), nil); len(got) != 7 {
			t.Errorf("by BLAKE3: %d", len(got))
		}
		// An index, of a subject that is not there, without an artifact type.
		m := fmt.Appendf(nil, `{"schemaVersion":2,"manifests":[],"subject":%s}`, descriptor(image, []byte("absent")))
		g.do("PUT", manifest("a", "dangling"), m, "Content-Type", index).is(201).has("Oci-Subject", sha256([]byte("absent")))
		dangling := "/v2/a/referrers/" + sha256([]byte("absent"))
		if got, _ := g.referrers(dangling, nil); len(got) != 1 || got[0].ArtifactType != "" || got[0].MediaType != index {
			t.Errorf("of an absent subject: %+v", got)
		}
		g.do("DELETE", manifest("a", sha256(m)), nil).is(202)
		if got, _ := g.referrers(dangling, nil); len(got) != 0 {
			t.Errorf("deleted: %+v", got)
		}
		// Large annotations make more pages, not larger ones.
		for i := range 6 {
			more := fmt.Sprintf(`,"subject":%s,"annotations":{"x":%q}`, descriptor(image, []byte("large")), strings.Repeat(fmt.Sprint(i), 1<<20))
			g.do("PUT", manifest("a", fmt.Sprintf("large%d", i)), imageOf([]byte("{}"), more), "Content-Type", image).is(201)
		}
		if got, pages := g.referrers("/v2/a/referrers/"+sha256([]byte("large")), nil); len(got) != 6 || pages < 2 {
			t.Errorf("large annotations: %d in %d pages", len(got), pages)
		}
		g.sound()
	})
}

// What expires in a repository is no longer shown there.
func TestLeaseEnds(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	g := serve(t, house.All()[0].Fresh(t)(t, house.Options{Now: clock, Grace: time.Hour}))
	content := random(340, 100)
	d := g.push("a", content)
	at := g.do("PATCH", g.begin("a"), content).is(202).location()
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	g.do("GET", blob("a", d), nil).refuses(404, "BLOB_UNKNOWN")
	g.do("GET", "/v2/a/tags/list", nil).refuses(404, "NAME_UNKNOWN")
	g.do("PUT", manifest("a", "v"), imageOf(content, ""), "Content-Type", image).refuses(400, "MANIFEST_BLOB_UNKNOWN")
	g.do("PUT", at+"?digest="+d, nil).refuses(404, "BLOB_UPLOAD_UNKNOWN")
	g.push("a", content)
	g.mustPull("a", d, content)
}
