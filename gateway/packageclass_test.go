package gateway_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	shapes "artifactstore/deploy/house"
)

func TestClassChange(t *testing.T) { everyHouse(t, classChange) }

// A class that keeps longer renews a package, open or sealed, once; one that keeps
// for less time is refused, unless it is insisted on.
func classChange(t *testing.T, at shapes.House) {
	var now atomic.Int64
	now.Store(time.Now().UnixMicro())
	clock := func() time.Time { return time.UnixMicro(now.Load()) }
	h := open(t, changes{at: at, now: clock})
	inClass := func(class string) string { return fmt.Sprintf(`{"retention_class":%q}`, class) }
	h.do(201, "PUT", release, `{"retention_class":"ephemeral","labels":{"branch":"main"}}`)
	h.do(201, "PUT", release+"/files/a", "hello")
	h.do(200, "POST", release+"/seal", "")
	sealed := h.show("")

	h.refused(400, "retention_class_unknown", "PUT", release, inClass("gold"))
	h.refused(400, "retention_class_unknown", "PUT", release+"?force=true", inClass("gold"))
	h.refused(409, "package_exists", "PUT", release, `{"retention_class":"release","labels":{"branch":"dev"}}`)
	for _, same := range []string{"", "{}", inClass("ephemeral"), `{"labels":{"branch":"main"}}`} {
		before := h.mark()
		h.do(200, "PUT", release, same)
		h.unchanged(before)
	}

	now.Add(int64(24 * time.Hour / time.Microsecond))
	h.do(200, "PUT", release, inClass("standard"))
	before := h.mark()
	h.do(200, "PUT", release, inClass("standard"))
	h.unchanged(before)
	p := h.show("")
	if p.RetentionClass != "standard" || p.State != "sealed" || p.ManifestDigest != sealed.ManifestDigest || p.Labels["branch"] != "main" {
		t.Errorf("%+v", p)
	}
	h.expires(90*24*time.Hour, p.ExpiresAt)
	last := h.records(0)
	if e := last[len(last)-1]; e.Data.Type() != "v1.package.renewed" || e.Data.Subject() != "ci/app/1.0" {
		t.Errorf("%+v", e)
	}

	h.do(200, "PUT", release, inClass("release"))
	if p = h.show(""); p.RetentionClass != "release" || p.ExpiresAt != "" {
		t.Errorf("%+v", p)
	}
	h.refused(409, "retention_class_shorter", "PUT", release, inClass("standard"))
	for _, query := range []string{"force=", "force=1", "force=false", "force=true&force=true"} {
		h.refused(400, "parameter_invalid", "PUT", release+"?"+query, inClass("standard"))
	}
	_, text := h.do(200, "PUT", release+"?force=true", inClass("standard"))
	if err := json.Unmarshal(text, &p); err != nil || p.RetentionClass != "standard" {
		t.Errorf("%s, %v", text, err)
	}
	h.expires(90*24*time.Hour, p.ExpiresAt)
}

// expires demands that a package expires so long after its last change.
func (h *house) expires(after time.Duration, at string) {
	h.t.Helper()
	_, text := h.do(200, "GET", release, "")
	var p struct {
		ChangedAt time.Time `json:"changed_at"`
	}
	got, err := time.Parse(time.RFC3339, at)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || !got.Equal(p.ChangedAt.Add(after)) {
		h.t.Errorf("changed at %s, expires at %s, %v", p.ChangedAt, at, err)
	}
}

// Of changes at the same time, none brings the package back to less than another
// was acknowledged.
func TestClassChangesRace(t *testing.T) {
	h := open(t, changes{})
	for i := range 20 {
		path := fmt.Sprintf("%s-%d", release, i)
		h.do(201, "PUT", path, `{"retention_class":"ephemeral"}`)
		var all sync.WaitGroup
		for _, class := range []string{"release", "standard"} {
			all.Go(func() {
				resp, text := h.request("PUT", path, strings.NewReader(`{"retention_class":"`+class+`"}`))
				if resp.StatusCode != 200 && (class == "release" || resp.StatusCode != 409) {
					t.Errorf("%s: %s %s", class, resp.Status, text)
				}
			})
		}
		all.Wait()
		if _, text := h.do(200, "GET", path, ""); !strings.Contains(string(text), `"retention_class":"release"`) {
			t.Errorf("%s", text)
		}
	}
}
