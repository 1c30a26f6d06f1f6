package plain

import (
	"net/http"
	"strings"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
)

// needs says what each method of each path below /v1/packages/ takes, of the package.
// More is asked for by what a request brings: another file in place of one takes
// overwrite, a class that keeps for less time takes admin.
var needs = map[resource]map[string]auth.Verb{
	aPackage: {
		http.MethodGet: auth.Pull, http.MethodHead: auth.Pull,
		http.MethodPut: auth.Push, http.MethodDelete: auth.Delete,
	},
	aFile: {
		http.MethodGet: auth.Pull, http.MethodHead: auth.Pull,
		http.MethodPut: auth.Push, http.MethodDelete: auth.Delete,
	},
	aSeal:     {http.MethodPost: auth.Push},
	aManifest: {http.MethodGet: auth.Pull, http.MethodHead: auth.Pull},
	anArchive: {http.MethodGet: auth.Pull, http.MethodHead: auth.Pull},
	aHold:     {http.MethodPut: auth.Hold, http.MethodDelete: auth.Hold},
}

// require decides whether a request's principal may do what it asks for. A method
// that the path does not have is left to its handler, which refuses it.
func require(r *http.Request, p packagePath) error {
	verb, ok := needs[p.resource][r.Method]
	if !ok {
		return nil
	}
	return auth.Require(r.Context(), verb, p.on())
}

// on is what a path names as a resource.
func (p packagePath) on() auth.Resource { return resourceOf(p.key) }

// resourceOf is a package as a resource: of a manifest it is the repository.
func resourceOf(k cas.PackageKey) auth.Resource {
	if repository, _, ok := strings.Cut(k.String(), "@"); ok {
		return auth.Resource(repository)
	}
	return auth.Package(k.Producer, k.Name)
}
