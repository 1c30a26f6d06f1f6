package plain

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"artifactstore/cas"
	"artifactstore/gateway/problem"
)

// resource is what a path below /v1/packages/ names. Its text is the route that
// metrics and the access log show: what a client chose stands in braces.
type resource string

const (
	aPackage   resource = packages + "{producer}/{name}/{version}"
	aSeal      resource = aPackage + "/seal"
	aManifest  resource = aPackage + "/manifest"
	anArchive  resource = aPackage + "/archive"
	aFile      resource = aPackage + "/files/{path}"
	aHold      resource = aPackage + "/holds/{hold}"
	notAPath   resource = packages + " (refused)" // does not parse
	packages            = "/v1/packages/"
	maxPath             = 1024 // bytes of a file's path
	separators          = `/\` // of paths, here or where a package is unpacked
)

// packagePath is a path below /v1/packages/, read.
type packagePath struct {
	resource
	key  cas.PackageKey
	file string // of aFile
	hold string // of aHold
}

// parsePackagePath reads a path as it was sent. Each segment is decoded once; one
// that holds a separator then is refused, so that escaping gives a file no second
// place in the tree. It is pure.
func parsePackagePath(escaped string) (packagePath, error) {
	p := packagePath{resource: notAPath}
	rest, ok := strings.CutPrefix(escaped, packages)
	if !ok {
		return p, badPath("it does not begin with " + packages)
	}
	segments := strings.Split(rest, "/")
	for i, raw := range segments {
		s, err := url.PathUnescape(raw)
		switch {
		case err != nil:
			return p, badPath("it is not well escaped")
		case strings.ContainsAny(s, separators):
			return p, badPath("a segment has a separator in it")
		}
		segments[i] = s
	}
	if len(segments) < 3 {
		return p, badPath("want a producer, a name and a version")
	}
	for _, s := range segments[:3] {
		if !segment.MatchString(s) {
			return p, badPath("a producer, a name and a version each match " + segment.String())
		}
	}
	p.key = cas.PackageKey{Producer: segments[0], Name: segments[1], Version: segments[2]}
	return p.below(segments[3:])
}

// below reads what follows the package.
func (p packagePath) below(segments []string) (packagePath, error) {
	what := resource("")
	switch {
	case len(segments) == 0:
		what = aPackage
	case segments[0] == "files" && len(segments) > 1:
		p.file = strings.Join(segments[1:], "/")
		if err := checkFilePath(p.file); err != nil {
			return packagePath{resource: notAPath}, err
		}
		what = aFile
	case segments[0] == "holds" && len(segments) == 2:
		if p.hold = segments[1]; !segment.MatchString(p.hold) {
			return packagePath{resource: notAPath}, badPath("a hold matches " + segment.String())
		}
		what = aHold
	case len(segments) == 1:
		what = map[string]resource{"seal": aSeal, "manifest": aManifest, "archive": anArchive}[segments[0]]
	}
	if what == "" {
		return packagePath{resource: notAPath}, badPath("a package has files/{path}, holds/{hold}, seal, manifest and archive, and nothing else")
	}
	p.resource = what
	return p, nil
}

// checkFilePath takes a relative path that means one file wherever it is
// unpacked.
func checkFilePath(path string) error {
	switch {
	case len(path) > maxPath:
		return badPath("a file's path has 1024 bytes at most")
	case !utf8.ValidString(path):
		return badPath("a file's path is UTF-8")
	case strings.ContainsFunc(path, unicode.IsControl):
		return badPath("a file's path has no control character")
	}
	for s := range strings.SplitSeq(path, "/") {
		if s == "" || s == "." || s == ".." {
			return badPath("a segment of a file's path is neither empty nor a dot or two")
		}
	}
	return nil
}

func badPath(why string) error {
	return problem.New(http.StatusBadRequest, "path_invalid", "the path names no package and nothing of one: %s", why)
}

// escape returns the path that [parsePackagePath] reads as p.
func (p packagePath) escape() string {
	path := packages + p.key.Producer + "/" + p.key.Name + "/" + p.key.Version
	switch p.resource {
	case aFile:
		segments := strings.Split(p.file, "/")
		for i, s := range segments {
			segments[i] = url.PathEscape(s)
		}
		return path + "/files/" + strings.Join(segments, "/")
	case aHold:
		return path + "/holds/" + p.hold
	default:
		return path + strings.TrimPrefix(string(p.resource), string(aPackage))
	}
}

// PackageRoutes returns the routes below /v1/packages/.
func PackageRoutes() []string {
	return []string{string(aPackage), string(aSeal), string(aManifest), string(anArchive), string(aFile), string(aHold), string(notAPath)}
}

// PackageRoute returns the route of a request.
func PackageRoute(r *http.Request) string {
	p, _ := parsePackagePath(r.URL.EscapedPath())
	return string(p.resource)
}
