package plain

import (
	"strings"
	"testing"
)

// What parsePackageList takes is a filter that a package can pass, and a key that
// is written the same way.
func FuzzPackageList(f *testing.F) {
	f.Add("producer=ci&name=app&label=branch=main&state=sealed&after=ci/app/1.0&limit=10")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := parsePackageList(query)
		if err != nil {
			refusedWith(t, err, 400, "parameter_invalid", "parameter_unknown")
			return
		}
		if q.limit < 1 || q.limit > maxPackages || len(q.filter.Labels) > maxLabels {
			t.Errorf("%+v", q)
		}
		for name, value := range q.filter.Labels {
			if name == "" || strings.Contains(name, "=") || !printable(name+value) {
				t.Errorf("label %q=%q", name, value)
			}
		}
		if q.after.Producer == "" {
			return
		}
		if again, ok := parseKey(q.after.String()); !ok || again != q.after {
			t.Errorf("%+v is read as %+v", q.after, again)
		}
	})
}
