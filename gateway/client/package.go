package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"artifactstore/cas/digest"
)

// PackageName names a package.
type PackageName struct {
	Producer string `json:"producer"`
	Name     string `json:"name"`
	Version  string `json:"version"`
}

// String returns producer/name/version; of a manifest that was pushed by the OCI
// protocol repository@digest.
func (n PackageName) String() string {
	if strings.Contains(n.Version, ":") {
		return n.Name + "@" + n.Version
	}
	return n.Producer + "/" + n.Name + "/" + n.Version
}

var segment = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)

// ParsePackageName reads producer/name/version.
func ParsePackageName(s string) (PackageName, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 3 {
		return PackageName{}, fmt.Errorf("%q is no package: want PRODUCER/NAME/VERSION", s)
	}
	for _, p := range parts {
		if !segment.MatchString(p) {
			return PackageName{}, fmt.Errorf("%q is no package: each part of PRODUCER/NAME/VERSION matches %s", s, segment)
		}
	}
	return PackageName{parts[0], parts[1], parts[2]}, nil
}

// path returns the path of a package or of something of it.
func (n PackageName) path(below string) string {
	return "/v1/packages/" + url.PathEscape(n.Producer) + "/" + url.PathEscape(n.Name) + "/" + url.PathEscape(n.Version) + below
}

func (n PackageName) file(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return n.path("/files/" + strings.Join(segments, "/"))
}

// Package is what the gateway shows of a package.
type Package struct {
	PackageName
	Format         string            `json:"format"` // files or oci
	State          string            `json:"state"`  // open or sealed
	RetentionClass string            `json:"retention_class"`
	Labels         map[string]string `json:"labels"`
	ManifestDigest digest.Digest     `json:"manifest_digest,omitzero"` // zero while open
	CreatedAt      time.Time         `json:"created_at"`
	ChangedAt      time.Time         `json:"changed_at"`
	ExpiresAt      *time.Time        `json:"expires_at"`     // nil: kept for ever
	Holds          []Hold            `json:"holds,omitzero"` // nil in lists, which do not say
}

// Sealed reports whether the package can no longer change.
func (p Package) Sealed() bool { return p.State == "sealed" }

// Hold is why a package neither expires nor can be deleted.
type Hold struct {
	Name    string    `json:"name"`
	Package string    `json:"package"` // which was put under it: this one, or one that covers it
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// File is a file of a package.
type File struct {
	Path       string        `json:"path"`
	Digest     digest.Digest `json:"digest"`
	Size       int64         `json:"size"` // bytes
	BackendIDs []string      `json:"backend_ids"`
}

// PackageOptions say how a package is to be kept. What is left out is the
// gateway's default for a new package, and for one that is there as it is.
type PackageOptions struct {
	RetentionClass string            `json:"retention_class,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	Force          bool              `json:"-"` // insist on a class that keeps for less time
}

// CreatePackage makes a package, or confirms one that is there; a class that
// keeps longer renews it. Its errors are ErrPackageExists, ErrClassUnknown and
// ErrClassShorter.
func (c *Client) CreatePackage(ctx context.Context, n PackageName, o PackageOptions) (p Package, created bool, err error) {
	r := call{method: http.MethodPut, path: n.path("")}
	if o.Force {
		r.query = url.Values{"force": {"true"}}
	}
	if err := r.json(o, "application/json"); err != nil {
		return p, false, err
	}
	status, err := c.ask(ctx, r, &p, http.StatusOK, http.StatusCreated)
	return p, status == http.StatusCreated, err
}

// Package returns a package; ErrPackageUnknown where there is none.
func (c *Client) Package(ctx context.Context, n PackageName) (p Package, err error) {
	_, err = c.ask(ctx, call{method: http.MethodGet, path: n.path(""), query: url.Values{"limit": {"1"}}}, &p, http.StatusOK)
	return p, err
}

// filePage is how many files are asked for at once.
const filePage = 1000

// Files yields the files of a package in byte order of their paths, page by page.
func (c *Client) Files(ctx context.Context, n PackageName) iter.Seq2[File, error] {
	return pages(func(after string) (list []File, next string, err error) {
		query := url.Values{"limit": {strconv.Itoa(filePage)}}
		if after != "" {
			query.Set("after", after)
		}
		var body struct {
			Files []File `json:"files"`
			Next  string `json:"next"`
		}
		_, err = c.ask(ctx, call{method: http.MethodGet, path: n.path(""), query: query}, &body, http.StatusOK)
		return body.Files, body.Next, err
	})
}

// PackageFilter selects packages; an empty field selects all.
type PackageFilter struct {
	Producer, Name, RetentionClass, State string
	Labels                                map[string]string
}

// Packages yields the packages that pass a filter, in the order of producers,
// names and versions, page by page. Their holds are not asked for.
func (c *Client) Packages(ctx context.Context, f PackageFilter) iter.Seq2[Package, error] {
	query := url.Values{"limit": {"1000"}}
	for name, value := range map[string]string{"producer": f.Producer, "name": f.Name, "retention_class": f.RetentionClass, "state": f.State} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for name, value := range f.Labels {
		query.Add("label", name+"="+value)
	}
	return pages(func(after string) (list []Package, next string, err error) {
		if after != "" {
			query.Set("after", after)
		}
		var body struct {
			Packages []Package `json:"packages"`
			Next     string    `json:"next"`
		}
		_, err = c.ask(ctx, call{method: http.MethodGet, path: "/v1/packages", query: query}, &body, http.StatusOK)
		return body.Packages, body.Next, err
	})
}

// pages yields what is on each page. A gateway whose pages lead nowhere is not
// followed for ever.
func pages[T any](page func(after string) (list []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for after := ""; ; {
			list, next, err := page(after)
			if err != nil {
				yield(none, err)
				return
			}
			for _, one := range list {
				if !yield(one, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == after {
				yield(none, fmt.Errorf("the gateway's list does not go on after %.80q", after))
				return
			}
			after = next
		}
	}
}

// Seal ends changes to a package and returns the digest of its manifest.
func (c *Client) Seal(ctx context.Context, n PackageName) (digest.Digest, error) {
	var body struct {
		ManifestDigest digest.Digest `json:"manifest_digest"`
	}
	_, err := c.ask(ctx, call{method: http.MethodPost, path: n.path("/seal")}, &body, http.StatusOK)
	if err == nil && body.ManifestDigest.Algorithm() != digest.SHA256 {
		err = fmt.Errorf("the gateway sealed %s without a manifest", n)
	}
	return body.ManifestDigest, err
}

// MaxManifest bounds the bytes of a manifest that are read: three times what a
// million files with paths of common length take.
const MaxManifest = 512 << 20

// Manifest returns the bytes of a sealed package's manifest in canonical CBOR. One
// that is not sealed is ErrPackageOpen. What its digest is, and whether it is
// canonical, is for the caller to see.
func (c *Client) Manifest(ctx context.Context, n PackageName) ([]byte, error) {
	resp, err := c.send(ctx, call{method: http.MethodGet, path: n.path("/manifest")}, http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer drain(resp)
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxManifest+1))
	if err == nil && len(text) > MaxManifest {
		err = fmt.Errorf("it is larger than %d bytes", MaxManifest)
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest of %s: %w", n, err)
	}
	return text, nil
}

// HoldPackage puts a package under a hold, and reports whether it is new.
func (c *Client) HoldPackage(ctx context.Context, n PackageName, hold string) (created bool, err error) {
	status, err := c.ask(ctx, call{method: http.MethodPut, path: n.path("/holds/" + url.PathEscape(hold))}, nil, http.StatusOK, http.StatusCreated)
	return status == http.StatusCreated, err
}

// ReleasePackage ends a hold; ErrHoldUnknown where the package is not under it.
func (c *Client) ReleasePackage(ctx context.Context, n PackageName, hold string) error {
	_, err := c.ask(ctx, call{method: http.MethodDelete, path: n.path("/holds/" + url.PathEscape(hold)), gone: ErrHoldUnknown}, nil, http.StatusNoContent)
	return err
}

// DeletePackage removes a package; ErrPackageHeld under a hold.
func (c *Client) DeletePackage(ctx context.Context, n PackageName) error {
	_, err := c.ask(ctx, call{method: http.MethodDelete, path: n.path(""), gone: ErrPackageUnknown}, nil, http.StatusNoContent)
	return err
}

// json gives a call a body.
func (r *call) json(v any, media string) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.header = http.Header{"Content-Type": {media}}
	r.text(text)
	return nil
}

// ask makes a request and reads the JSON of its answer, where somebody wants it.
func (c *Client) ask(ctx context.Context, r call, into any, want ...int) (status int, err error) {
	resp, err := c.send(ctx, r, want...)
	if errors.Is(err, errDone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer drain(resp)
	if into != nil {
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			return 0, fmt.Errorf("read the gateway's answer: %w", err)
		}
	}
	return resp.StatusCode, nil
}
