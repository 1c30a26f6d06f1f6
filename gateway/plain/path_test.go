package plain

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What parsePackagePath takes is a file below its package, wherever it is
// unpacked, and has one spelling once it is decoded.
func FuzzPackagePath(f *testing.F) {
	f.Add("/v1/packages/ci/app/1.0/files/bin/app")
	f.Fuzz(func(t *testing.T, path string) {
		p, err := parsePackagePath(path)
		if !slices.Contains(PackageRoutes(), string(p.resource)) {
			t.Errorf("%q has the route %q", path, p.resource)
		}
		if err != nil {
			refusedWith(t, err, 400, "path_invalid")
			if p.resource != notAPath {
				t.Errorf("%q is refused with the route %q", path, p.resource)
			}
			return
		}
		for _, s := range []string{p.key.Producer, p.key.Name, p.key.Version} {
			if !segment.MatchString(s) || len(s) > 128 {
				t.Errorf("%q is taken for a name", s)
			}
		}
		if again, err := parsePackagePath(p.escape()); err != nil || again != p {
			t.Errorf("%q is written %q, which is read as %+v, %v", path, p.escape(), again, err)
		}
		if (p.resource == aFile) != (p.file != "") || (p.resource == aHold) != (p.hold != "") {
			t.Errorf("%+v", p)
		}
		if p.resource == aFile && !staysInside(p.file) {
			t.Errorf("%q is taken for a file", p.file)
		}
		if decoded, err := url.PathUnescape(path); err != nil || strings.Count(decoded, "/") != strings.Count(path, "/") {
			t.Errorf("%q hides a separator: %v", path, err)
		}
	})
}

// staysInside says the rule of paths in other words.
func staysInside(path string) bool {
	for _, s := range strings.FieldsFunc(path, func(c rune) bool { return c == '/' }) {
		if strings.Trim(s, ".") == "" && len(s) < 3 {
			return false
		}
	}
	return utf8.ValidString(path) && len(path) <= 1024 && !strings.Contains("/"+path+"/", "//") &&
		!strings.ContainsRune(path, '\\') && strings.IndexFunc(path, unicode.IsControl) < 0
}

// What parsePackage and parseReference take is one object that any other reader
// of JSON understands the same way.
func FuzzPackageBody(f *testing.F) {
	f.Add([]byte(`{"retention_class":"release","labels":{"branch":"main"}}`))
	f.Add([]byte(`{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		class, labels, err := parsePackage(text)
		switch {
		case err != nil:
			refusedWith(t, err, 400, "body_invalid", "labels_invalid")
		case class != "" && !segment.MatchString(class):
			t.Errorf("class %q", class)
		default:
			size := 0
			for k, v := range labels {
				size += len(k) + len(v)
				if k == "" || strings.ContainsAny(k+v, "\x00\r\n") || strings.Contains(k, "=") {
					t.Errorf("label %q %q", k, v)
				}
			}
			if size > maxLabelText || len(labels) > maxLabels {
				t.Errorf("%d labels of %d bytes", len(labels), size)
			}
		}
		d, err := parseReference(text)
		if err != nil {
			refusedWith(t, err, 400, "body_invalid", "digest_invalid")
		} else if d.IsZero() || !strings.Contains(string(text), `"`) {
			t.Errorf("%q names %s", text, d)
		}
	})
}

// A field that disposition writes has no byte that ends it or its line, whatever
// the name.
func FuzzDisposition(f *testing.F) {
	f.Add("größe \"x\".txt")
	f.Fuzz(func(t *testing.T, name string) {
		field := disposition(name)
		quoted, rest, ok := strings.Cut(strings.TrimPrefix(field, `attachment; filename="`), `"`)
		if !ok || strings.ContainsAny(quoted, `\%`) || strings.ContainsFunc(field, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%q gives %q", name, field)
		}
		if rest == "" {
			if quoted != name {
				t.Errorf("%q is called %q and nothing else", name, quoted)
			}
			return
		}
		whole, err := url.PathUnescape(strings.TrimPrefix(rest, "; filename*=UTF-8''"))
		if err != nil || whole != name {
			t.Errorf("%q gives %q, which is read as %q, %v", name, field, whole, err)
		}
	})
}

func TestPackageRoutesAreBounded(t *testing.T) {
	for path, want := range map[string]resource{
		"/v1/packages/a/b/1":             aPackage,
		"/v1/packages/a/b/1/seal":        aSeal,
		"/v1/packages/a/b/1/manifest":    aManifest,
		"/v1/packages/a/b/1/archive":     anArchive,
		"/v1/packages/a/b/1/files/seal":  aFile,
		"/v1/packages/a/b/1/files/x/y/z": aFile,
		"/v1/packages/a/b/1/holds/x":     aHold,
		"/v1/packages/a/b/1/holds/x/y":   notAPath,
		"/v1/packages/a/b/1/secret":      notAPath,
		"/v1/packages/..":                notAPath,
	} {
		r, err := http.NewRequest("GET", "http://x"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := PackageRoute(r); got != string(want) {
			t.Errorf("%s: route %q, want %q", path, got, want)
		}
	}
}
