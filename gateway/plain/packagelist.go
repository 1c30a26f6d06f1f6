package plain

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"artifactstore/cas"
	"artifactstore/gateway/auth"
)

// Limits of a list of packages.
const (
	defaultPackages = 100
	maxPackages     = 1000
	maxFilter       = 255 // bytes of a name that is looked for
)

// Packages serves /v1/packages: a page of packages in the order of producers,
// names and versions. Where there is a next, the list goes on after it, also
// where the page is short or empty.
func (f *Face) Packages(w http.ResponseWriter, r *http.Request) error {
	if err := onlyRead(r); err != nil {
		return err
	}
	q, err := parsePackageList(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if err := auth.RequireSomewhere(r.Context(), auth.Pull); err != nil {
		return err
	}
	list, next, err := f.readable(r.Context(), q)
	if err != nil {
		return err
	}
	body := struct {
		Packages []packageHead `json:"packages"`
		Next     string        `json:"next,omitempty"`
	}{Packages: []packageHead{}}
	for _, p := range list {
		body.Packages = append(body.Packages, f.head(p))
	}
	if next != (cas.PackageKey{}) {
		body.Next = next.String()
	}
	w.Header().Set("Cache-Control", "no-cache")
	return answerJSON(w, http.StatusOK, body)
}

// packageList is a request for packages.
type packageList struct {
	filter cas.PackageFilter
	after  cas.PackageKey
	limit  int
}

// parsePackageList reads a request for packages. It is pure.
func parsePackageList(query string) (packageList, error) {
	q := packageList{limit: defaultPackages}
	values, err := parseQueryMany("label", query, "producer", "name", "retention_class", "state", "after", "limit")
	if err != nil {
		return q, err
	}
	for name, v := range values {
		ok, want := true, ""
		switch name {
		case "producer":
			q.filter.Producer, ok, want = v[0], segment.MatchString(v[0]), segment.String()
		case "name":
			q.filter.Name, ok, want = v[0], v[0] != "" && len(v[0]) <= maxFilter && printable(v[0]), "the name of a package"
		case "retention_class":
			q.filter.RetentionClass, ok, want = v[0], segment.MatchString(v[0]), segment.String()
		case "state":
			ok, want = q.setState(v[0]), "open or sealed"
		case "label":
			ok, want = q.setLabels(v), "at most 64 of the form name=value, no name twice"
		case "after":
			q.after, ok = parseKey(v[0])
			want = "the next of the page before"
		case "limit":
			n, err := strconv.ParseUint(v[0], 10, 31)
			q.limit, ok, want = int(n), err == nil && 1 <= n && n <= maxPackages, "1 to "+strconv.Itoa(maxPackages)
		}
		if !ok {
			return q, badParameter("%s=%.140q: want %s", name, v[0], want)
		}
	}
	return q, nil
}

func (q *packageList) setState(s string) bool {
	switch s {
	case "open":
		q.filter.State = "open"
	case "sealed":
		q.filter.State = "sealed"
	default:
		return false
	}
	return true
}

func (q *packageList) setLabels(list []string) bool {
	q.filter.Labels = map[string]string{}
	for _, s := range list {
		name, value, ok := strings.Cut(s, "=")
		if _, twice := q.filter.Labels[name]; !ok || twice || name == "" || len(s) > maxLabelName+1+maxLabelValue || !printable(s) {
			return false
		}
		q.filter.Labels[name] = value
	}
	return len(list) <= maxLabels
}

// parseKey reads a key as [cas.PackageKey.String] writes it: names have no "@".
func parseKey(s string) (k cas.PackageKey, ok bool) {
	if len(s) > maxPath || !printable(s) {
		return k, false
	}
	if repository, manifest, ok := strings.Cut(s, "@"); ok {
		producer, _, _ := strings.Cut(repository, "/")
		k = cas.PackageKey{Producer: producer, Name: repository, Version: manifest}
	} else if parts := strings.Split(s, "/"); len(parts) == 3 {
		k = cas.PackageKey{Producer: parts[0], Name: parts[1], Version: parts[2]}
	}
	return k, k.Producer != "" && k.Name != "" && k.Version != "" && k.String() == s
}

// parseQueryMany is [parseQuery] where one parameter may be given several times.
func parseQueryMany(many, query string, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, badParameter("the query is not well formed: %v", err)
	}
	list := values[many]
	values.Del(many)
	if err := checkParameters(values, append(known, many)); err != nil {
		return nil, err
	}
	if len(list) > 0 {
		values[many] = list
	}
	return values, nil
}
