package cas_test

import (
	"fmt"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/registry"
)

// A blob with more keepers than are looked at gets the copies of every route, and a
// move takes away only what is where no route leads.
func TestCopiesOfABlobWithManyKeepers(t *testing.T) {
	c := &clock{}
	rules := []cas.Rule{
		{Producer: "far", BackendID: "a", Copies: []string{"b"}},
		{Producer: "near", BackendID: "c"},
	}
	o := options{now: c.now, sleep: noSleep, backends: []string{"a", "b", "c"}, rules: rules}
	h := open(t, o)
	few, many := random(1, 1000), random(2, 2000)
	for _, content := range [][]byte{few, many} {
		h.mustPut(content, func(o *cas.PutOptions) { o.Producer = "near" }) // on c
		h.mustPut(content)                                                  // on a
	}
	var leases []registry.Data
	for i := range 1200 {
		leases = append(leases, registry.BlobLeased{
			Blob: identity(many).SHA256, Repository: fmt.Sprintf("other/%04d", i), Producer: "other", RetentionClass: "release", Until: registry.Forever,
		})
	}
	h.say(leases...)
	h.copies()
	h.isOn(few, "a", "c")
	h.isOn(many, "a", "b", "c")
	c.pass(2 * time.Hour)
	if r := h.move(); r.Removed != 1 || r.Left != 0 { // of few: its one lease is that of the later put
		t.Errorf("%+v", r)
	}
	h.isOn(few, "a")
	h.isOn(many, "a", "b", "c")

	h.reg.Close()
	o.rules = rules[:1] // nothing leads to c
	h = openIn(t, h.place, o)
	if on := h.planned()["c"]; on.Leaving != 1 {
		t.Errorf("planned for c: %+v", on)
	}
	h.move()
	h.isOn(few, "a")
	h.isOn(many, "a", "b")
	h.exact()
}
