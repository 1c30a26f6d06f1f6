package registry

import (
	"fmt"
	"slices"
)

const (
	maxCovers = 100_000
	maxGrace  = 1_000_000_000 // seconds: 31 years, so that no sum overflows
)

func (d PackageHeld) validate() error {
	err := first(d.Package.validate(), checkText("hold", d.Hold, maxName))
	if err == nil && len(d.Covers) > maxCovers {
		err = fmt.Errorf("%w: %d packages are covered, want %d at most", ErrRecord, len(d.Covers), maxCovers)
	}
	if err != nil {
		return err
	}
	for i, k := range d.Covers {
		if err := k.validate(); err != nil {
			return err
		}
		if k == d.Package || i > 0 && d.Covers[i-1].Compare(k) >= 0 {
			return fmt.Errorf("%w: covered package %s is not in its order", ErrRecord, k)
		}
	}
	return nil
}

func (d PackageReleased) validate() error {
	return first(d.Package.validate(), checkText("hold", d.Hold, maxName))
}

func (d PackageExpired) validate() error {
	return first(d.Package.validate(), checkRevision(d.Revision), checkText("retention_class", d.RetentionClass, maxName))
}

func (d LocationVerified) validate() error {
	return first(checkBlob(d.Blob), checkBackend(d.BackendID), checkTime("recorded_at", d.RecordedAt))
}

func (d LocationRemoving) validate() error {
	var cause error
	if !slices.Contains([]Cause{Unneeded, Moved, Orphan}, d.Cause) {
		cause = fmt.Errorf("%w: unknown cause %.80q", ErrRecord, d.Cause)
	}
	if d.Cause != Unneeded && d.GraceSeconds != 0 {
		cause = fmt.Errorf("%w: a grace with cause %.80q", ErrRecord, d.Cause)
	}
	return first(checkBlob(d.Blob), checkBackend(d.BackendID), cause, checkGrace(d.GraceSeconds))
}

func (d LocationRemoved) validate() error {
	return first(checkBlob(d.Blob), checkBackend(d.BackendID))
}

func (d BlobCollected) validate() error {
	var size, leased error
	if d.Size < 0 {
		size = fmt.Errorf("%w: size %d", ErrRecord, d.Size)
	}
	if !d.LeasedUntil.IsZero() {
		leased = checkTime("leased_until", d.LeasedUntil)
	}
	return first(checkBlob(d.Blob), size, leased, checkTime("idle_since", d.IdleSince), checkGrace(d.GraceSeconds))
}

func checkGrace(seconds int64) error {
	if seconds < 0 || seconds > maxGrace {
		return fmt.Errorf("%w: a grace of %d seconds", ErrRecord, seconds)
	}
	return nil
}
