package cas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"artifactstore/cas/digest"
)

// Evidence is what the store knows of why a blob is still there: all that the
// decision to remove it is made from. Times are UTC.
type Evidence struct {
	Digest     digest.Digest     `json:"digest"`
	Digests    map[string]string `json:"digests"` // all that it is found by, in hex by algorithm
	Size       int64             `json:"size"`    // bytes
	StoredAt   time.Time         `json:"stored_at"`
	Kept       bool              `json:"kept"`       // something refers to it, or a lease lasts
	References int64             `json:"references"` // how many there are

	Packages  []Keeping  `json:"packages"`   // of the references, as many as were asked for
	Leases    []Leasing  `json:"leases"`     // the latest end first, as many as were asked for
	Uploads   []Became   `json:"uploads"`    // they do not keep it
	Locations []Place    `json:"locations"`  // where its bytes are, or were lost
	Removals  []Leaving  `json:"removals"`   // under way
	IdleSince time.Time  `json:"idle_since"` // or will be once nothing refers to it
	Grace     string     `json:"grace"`      // how long it must be idle
	GoesAt    *time.Time `json:"goes_at"`    // at the earliest, if nothing changes; null: not as things are
	Goes      string     `json:"goes"`       // the same in a sentence
}

// Keeping is a reference: a file of a package, or its manifest.
type Keeping struct {
	Package        string     `json:"package"`
	Path           string     `json:"path"` // "" is the manifest
	State          string     `json:"state"`
	RetentionClass string     `json:"retention_class"`
	ExpiresAt      *time.Time `json:"expires_at"` // null: kept for ever
	Holds          []string   `json:"holds"`      // names of the holds on the package
}

// Leasing is a lease.
type Leasing struct {
	Repository     string    `json:"repository,omitempty"` // whose it is
	Principal      string    `json:"principal,omitempty"`  // whose it is without a repository
	Producer       string    `json:"producer"`
	RetentionClass string    `json:"retention_class"`
	Until          time.Time `json:"until"`
	Lasts          bool      `json:"lasts"` // it has not ended
}

// Became is an upload session that was finished with the blob, and answers again.
type Became struct {
	Principal  string    `json:"principal"`
	Repository string    `json:"repository"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// Place is a location.
type Place struct {
	BackendID  string     `json:"backend_id"`
	State      string     `json:"state"`
	Reason     string     `json:"reason,omitempty"` // why it failed
	WrittenAt  time.Time  `json:"written_at"`
	VerifiedAt *time.Time `json:"verified_at"` // null: never since it was written
}

// Leaving is a removal under way.
type Leaving struct {
	BackendID string    `json:"backend_id"`
	Cause     string    `json:"cause"`
	Since     time.Time `json:"since"`
}

// Why returns why a blob, named by any of its digests, is still there, and when it
// would go. At most limit references, leases and uploads are in it. A blob that is
// not known, or not any more, is ErrBlobUnknown; one that nothing keeps is known
// until it has been collected.
func (s *Store) Why(ctx context.Context, d digest.Digest, limit int) (*Evidence, error) {
	b, err := s.reg.Blob(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.whyNot(ctx, d)
	}
	if err != nil {
		return nil, registryError("look up "+d.String(), err)
	}
	now := s.now()
	e := &Evidence{
		Digest: b.SHA256, Digests: map[string]string{}, Size: b.Size, StoredAt: b.StoredAt,
		Kept: b.References > 0 || b.LeasedUntil.After(now), References: b.References,
		Packages: []Keeping{}, Leases: []Leasing{}, Uploads: []Became{}, Locations: []Place{}, Removals: []Leaving{},
	}
	for _, d := range []digest.Digest{b.SHA256, b.BLAKE3, b.SHA512} {
		if !d.IsZero() {
			e.Digests[d.Algorithm().String()] = d.Hex()
		}
	}
	for _, l := range b.Locations {
		e.Locations = append(e.Locations, Place{l.BackendID, string(l.State), string(l.Reason), l.RecordedAt, unlessZero(l.VerifiedAt)})
	}
	for _, add := range []func(context.Context, *Evidence, int) error{s.whyReferences, s.whyLeases, s.whyUploads, s.whyRemovals} {
		if err := add(ctx, e, limit); err != nil {
			return nil, err
		}
	}
	e.IdleSince, err = s.reg.IdleSince(ctx, b.SHA256)
	if errors.Is(err, fs.ErrNotExist) { // collected since
		return nil, s.whyNot(ctx, d)
	}
	if err != nil {
		return nil, registryError("look up "+d.String(), err)
	}
	e.judge(now, s.collection.grace())
	return e, nil
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// whyNot says what there is of a blob that is not known.
func (s *Store) whyNot(ctx context.Context, d digest.Digest) error {
	e := &Evidence{Digest: d}
	if d.Algorithm() == digest.SHA256 {
		if err := s.whyRemovals(ctx, e, 0); err != nil {
			return err
		}
	}
	var from []string
	for _, r := range e.Removals {
		from = append(from, r.BackendID)
	}
	if from != nil {
		return fmt.Errorf("%s: %w; an object of that name, which nothing had recorded, is being removed from %s", d, ErrBlobUnknown, strings.Join(from, ", "))
	}
	return fmt.Errorf("%s: %w: it was never stored here, or has been collected since (the events say which)", d, ErrBlobUnknown)
}

func (s *Store) whyReferences(ctx context.Context, e *Evidence, limit int) error {
	list, err := s.reg.References(ctx, e.Digest, limit)
	for _, r := range list {
		k := Keeping{
			Package: r.PackageKey.String(), Path: r.Path, State: string(r.State),
			RetentionClass: r.RetentionClass, Holds: append([]string{}, r.Holds...),
		}
		if at := s.Expires(r.Package); at.Before(Forever) {
			k.ExpiresAt = &at
		}
		e.Packages = append(e.Packages, k)
	}
	return registryError("look up references of "+e.Digest.String(), err)
}

func (s *Store) whyLeases(ctx context.Context, e *Evidence, limit int) error {
	list, err := s.reg.LeasesOf(ctx, e.Digest, limit)
	for _, l := range list {
		e.Leases = append(e.Leases, Leasing{
			Repository: l.Repository, Principal: l.Actor, Producer: l.Producer,
			RetentionClass: l.RetentionClass, Until: l.Until, Lasts: l.Until.After(s.now()),
		})
	}
	return registryError("look up leases of "+e.Digest.String(), err)
}

func (s *Store) whyUploads(ctx context.Context, e *Evidence, limit int) error {
	list, err := s.reg.FinishedUploads(ctx, e.Digest, limit)
	for _, u := range list {
		e.Uploads = append(e.Uploads, Became{u.Principal, u.Repository, u.ExpiresAt})
	}
	return registryError("look up uploads of "+e.Digest.String(), err)
}

func (s *Store) whyRemovals(ctx context.Context, e *Evidence, _ int) error {
	list, err := s.reg.RemovalsOf(ctx, e.Digest)
	for _, r := range list {
		e.Removals = append(e.Removals, Leaving{r.BackendID, string(r.Cause), r.Since})
	}
	return registryError("look up removals of "+e.Digest.String(), err)
}
