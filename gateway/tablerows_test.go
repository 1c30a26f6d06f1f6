package gateway_test

import (
	"fmt"

	shapes "artifactstore/deploy/house"
)

// row is one path and what its methods take.
type row struct {
	route     string
	path      string
	chosen    []string // segments of the path that a client chose
	methods   map[string]ask
	otherwise ask  // methods that it does not have
	variant   bool // another request for a path that has its row: only its methods, spelled as they are
}

// ask is a request and what becomes of it.
type ask struct {
	want   func(persona) int // the status
	query  string
	body   string
	fresh  bool // the body is another each time
	header []string
	mend   func() // puts back what a success changes
}

func (a ask) content(x *table) string {
	if a.fresh {
		x.serial++
		return fmt.Sprint("fresh ", x.serial)
	}
	return a.body
}

// kept stands for 200 and 201: whether the bytes were there depends on who asked before.
const kept = -1

// takes is what a verb on something of a tenant's allows; tenant "" is all there is.
func takes(verb, tenant string, status int) func(persona) int {
	return func(p persona) int {
		if p.has(verb, tenant) {
			return status
		}
		return p.refused()
	}
}

// takesSomewhere is what a verb on anything allows.
func takesSomewhere(verb string, then func(persona) int) func(persona) int {
	return func(p persona) int {
		if p.somewhere(verb) {
			return then(p)
		}
		return p.refused()
	}
}

// seen is the status for who may read what a tenant has; to others it is unknown.
func seen(tenant string, status int) func(persona) int {
	return func(p persona) int {
		if p.has("pull", tenant) {
			return status
		}
		return 404
	}
}

func always(status int) func(persona) int { return func(persona) int { return status } }

// both are the asks of a path that is only read.
func both(a ask) map[string]ask { return map[string]ask{"GET": a, "HEAD": a} }

func with(m map[string]ask, more map[string]ask) map[string]ask {
	for method, a := range more {
		m[method] = a
	}
	return m
}

var noMethod = ask{want: always(405)}

// rows are all paths. What stands here is what docs/design.md promises.
func (x *table) rows() []row {
	return append(append(x.plainRows(), x.packageRows()...), append(x.ociRows(), x.opsRows()...)...)
}

func (x *table) plainRows() []row {
	unknown := "sha256:" + fmt.Sprintf("%064d", 1)
	return []row{
		{route: "/v1/blobs", path: "/v1/blobs", otherwise: noMethod, methods: map[string]ask{
			"POST": {want: takes("push", "team", 201), query: "?producer=team", fresh: true},
		}},
		{route: "/v1/blobs/{digest}", path: "/v1/blobs/" + x.digest["blob"], chosen: []string{x.digest["blob"]}, otherwise: noMethod,
			methods: with(both(ask{want: takesSomewhere("pull", seen("team", 200))}), map[string]ask{
				"PUT":    {want: takes("push", "team", kept), query: "?producer=team", body: "the tenant's blob"},
				"DELETE": {want: takesSomewhere("delete", seen("team", 409))},
			})},
		{route: "/v1/blobs/{digest}", path: "/v1/blobs/" + unknown, chosen: []string{unknown}, otherwise: noMethod,
			methods: with(both(ask{want: takesSomewhere("pull", always(404))}), map[string]ask{
				"PUT":    {want: takes("push", "team", 422), query: "?producer=team", body: "other bytes"},
				"DELETE": {want: takesSomewhere("delete", always(404))},
			})},
		{route: "/v1/packages", path: "/v1/packages", otherwise: noMethod, methods: both(ask{want: takesSomewhere("pull", always(200))})},
		{route: "unmatched", path: "/nothing", otherwise: ask{want: always(404)}},
		{route: "unmatched", path: "/", otherwise: ask{want: always(404)}, variant: true},
	}
}

func (x *table) packageRows() []row {
	const open, sealed = "/v1/packages/team/open/1", "/v1/packages/team/sealed/1"
	read := func(tenant string) map[string]ask { return both(ask{want: takes("pull", tenant, 200)}) }
	at := func(name string) []string { return []string{"team", name, "1"} }
	return []row{
		{route: "/v1/packages/{producer}/{name}/{version}", path: open, chosen: at("open"), otherwise: noMethod,
			methods: with(read("team"), map[string]ask{
				"PUT":    {want: takes("push", "team", 200)},
				"DELETE": {want: takes("delete", "team", 204), mend: x.mendPackage},
			})},
		{route: "/v1/packages/{producer}/{name}/{version}", path: "/v1/packages/team/none/1", variant: true,
			methods: with(both(ask{want: takes("pull", "team", 404)}), map[string]ask{
				"DELETE": {want: takes("delete", "team", 404)},
			})},
		{route: "/v1/packages/{producer}/{name}/{version}", path: open, variant: true, methods: map[string]ask{
			"PUT": {want: takes("push", "team", 409), body: `{"labels":{"another":"label"}}`},
		}},
		{route: "/v1/packages/{producer}/{name}/{version}/files/{path}", path: open + "/files/dir/a.txt", chosen: append(at("open"), "dir", "a.txt"), otherwise: noMethod,
			methods: with(read("team"), map[string]ask{
				"PUT":    {want: takes("push", "team", 200), body: "a"},
				"DELETE": {want: takes("delete", "team", 204), mend: x.mendPackage},
			})},
		{route: "/v1/packages/{producer}/{name}/{version}/seal", path: sealed + "/seal", chosen: at("sealed"), otherwise: noMethod,
			methods: map[string]ask{"POST": {want: takes("push", "team", 200)}}},
		{route: "/v1/packages/{producer}/{name}/{version}/manifest", path: sealed + "/manifest", chosen: at("sealed"), otherwise: noMethod, methods: read("team")},
		{route: "/v1/packages/{producer}/{name}/{version}/archive", path: sealed + "/archive", chosen: at("sealed"), otherwise: noMethod, methods: read("team")},
		{route: "/v1/packages/{producer}/{name}/{version}/holds/{hold}", path: open + "/holds/h", chosen: append(at("open"), "h"), otherwise: noMethod,
			methods: map[string]ask{
				"PUT":    {want: takes("hold", "team", 201), mend: func() { x.owned("DELETE", open+"/holds/h", "") }},
				"DELETE": {want: takes("hold", "team", 404)},
			}},
		{route: "/v1/packages/ (refused)", path: "/v1/packages/team", chosen: []string{"team"}, otherwise: ask{want: always(400)}},
	}
}

func (x *table) ociRows() []row {
	const repo = "/v2/team/app"
	name := []string{"team", "app"}
	none := "00000000000000000000000000000000"
	pull := func(status int) map[string]ask { return both(ask{want: takes("pull", "team", status)}) }
	push := func(status int) func(persona) int { return takes("push", "team", status) }
	manifest := func(status int, body string, mend func()) ask {
		return ask{want: push(status), body: body, header: []string{"Content-Type", imageType}, mend: mend}
	}
	return []row{
		{route: "/v2/", path: "/v2/", otherwise: noMethod, methods: both(ask{want: func(p persona) int {
			if p.named {
				return 200
			}
			return 401
		}})},
		{route: "/v2/_catalog", path: "/v2/_catalog", otherwise: noMethod, methods: both(ask{want: takesSomewhere("pull", always(200))})},
		{route: "/v2/{name}/tags/list", path: repo + "/tags/list", chosen: name, otherwise: noMethod, methods: pull(200)},
		{route: "/v2/{name}/tags/list", path: "/v2/team/none/tags/list", variant: true, methods: pull(404)},
		{route: "/v2/{name}/referrers/{digest}", path: repo + "/referrers/" + x.digest["manifest"], chosen: append(name, x.digest["manifest"]), otherwise: noMethod, methods: pull(200)},
		{route: "/v2/{name}/blobs/{digest}", path: repo + "/blobs/" + x.digest["loose"], chosen: append(name, x.digest["loose"]), otherwise: noMethod,
			methods: with(pull(200), map[string]ask{"DELETE": {want: takes("delete", "team", 202), mend: x.mendLoose}})},
		{route: "/v2/{name}/blobs/{digest}", path: repo + "/blobs/" + x.digest["blob"], variant: true, // which is elsewhere
			methods: with(pull(404), map[string]ask{"DELETE": {want: takes("delete", "team", 404)}})},
		{route: "/v2/{name}/manifests/{reference}", path: repo + "/manifests/v1", chosen: append(name, "v1"), otherwise: noMethod,
			methods: with(pull(200), map[string]ask{
				"PUT":    manifest(201, x.image(""), nil),
				"DELETE": {want: takes("delete", "team", 202), mend: x.mendImage},
			})},
		{route: "/v2/{name}/manifests/{reference}", path: repo + "/manifests/" + x.digest["manifest"], chosen: append(name, x.digest["manifest"]), otherwise: noMethod,
			methods: with(pull(200), map[string]ask{
				"PUT":    manifest(201, x.image(""), nil),
				"DELETE": {want: takes("delete", "team", 202), mend: x.mendImage},
			})},
		{route: "/v2/{name}/blobs/uploads/", path: repo + "/blobs/uploads/", chosen: name, otherwise: noMethod,
			methods: map[string]ask{"POST": {want: push(202)}}},
		{route: "/v2/{name}/blobs/uploads/{session}", path: repo + "/blobs/uploads/" + none, chosen: append(name, none), otherwise: noMethod,
			methods: with(both(ask{want: push(404)}), map[string]ask{
				"PATCH":  {want: push(404), body: "x"},
				"PUT":    {want: push(404), query: "?digest=" + x.digest["blob"]},
				"DELETE": {want: push(404)},
			})},
		{route: "/v2/ (refused)", path: "/v2/team", chosen: []string{"team"}, otherwise: ask{want: always(404)}},
	}
}

func (x *table) opsRows() []row {
	whole := func(verb string, status int) ask { return ask{want: takes(verb, "", status)} }
	read := both(whole("pull", 200))
	public := both(ask{want: always(200)})
	return []row{
		{route: "/livez", path: "/livez", otherwise: noMethod, methods: public},
		{route: "/v1/auth/token", path: "/v1/auth/token", otherwise: noMethod, methods: map[string]ask{
			"GET":  {want: always(200), query: "?scope=repository:team/app:pull"},
			"POST": {want: always(415)},
		}},
		{route: "/readyz", path: "/readyz", otherwise: noMethod, methods: public},
		{route: "/health", path: "/health", otherwise: whole("pull", 405), methods: read},
		{route: "/metrics", path: "/metrics", otherwise: whole("pull", 405), methods: read},
		{route: "/v1/events", path: "/v1/events", otherwise: whole("pull", 405), methods: both(ask{want: takes("pull", "", 200), query: "?limit=1"})},
		{route: "/v1/backends", path: "/v1/backends", otherwise: whole("pull", 405), methods: read},
		{route: "/v1/backends/{id}/verifications", path: "/v1/backends/" + shapes.BackendID + "/verifications", chosen: []string{shapes.BackendID}, otherwise: whole("admin", 405),
			methods: with(both(whole("pull", 200)), map[string]ask{"POST": {want: takes("admin", "", 400), body: `{"sample":2}`}})},
		{route: "/v1/backends/{id}/verifications/{run}", path: "/v1/backends/" + shapes.BackendID + "/verifications/none", chosen: []string{shapes.BackendID, "none"}, otherwise: whole("admin", 405),
			methods: with(both(whole("pull", 404)), map[string]ask{"DELETE": whole("admin", 404)})},
	}
}
