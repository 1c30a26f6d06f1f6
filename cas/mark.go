package cas

import (
	"context"
	"errors"
	"fmt"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// doubt examines a location at once, because something that was read from it was
// not the blob, and records what is found.
func (s *Store) doubt(ctx context.Context, b registry.Blob, at registry.Location, by string) error {
	return s.doubtAtPace(ctx, b, at, by, &pace{})
}

// doubtAtPace is doubt that reads at the rate of a run.
func (s *Store) doubtAtPace(ctx context.Context, b registry.Blob, at registry.Location, by string, p *pace) error {
	backend := s.backend(at.BackendID)
	if backend == nil {
		return fmt.Errorf("%w: %q", ErrBackendUnknown, at.BackendID)
	}
	x := s.newExaminer(backend, p)
	defer x.hash.Release()
	r, err := s.examine(ctx, x, b, at)
	var d registry.Data
	switch {
	case errors.Is(err, ErrBackendUnavailable):
		return nil // it proves nothing
	case err != nil:
		return err
	case r == Intact:
		d = registry.LocationVerified{Blob: b.SHA256, BackendID: at.BackendID, RecordedAt: at.RecordedAt}
	case r.IsFailure():
		s.log.Error("a location failed", "blob", b.SHA256.String(), "backend_id", at.BackendID, "reason", string(r))
		d = registry.LocationFailed{Blob: b.SHA256, BackendID: at.BackendID, Reason: registry.Reason(r), RecordedAt: at.RecordedAt}
	default:
		return nil
	}
	if err = s.append(ctx, event(by, d)); errors.Is(err, registry.ErrConflict) {
		return nil // found by another too, or repaired, or removed
	}
	return registryError("record "+b.SHA256.String(), err)
}

// FailedOn returns the first blobs, in the order of their digests, whose location
// on a backend has failed.
func (s *Store) FailedOn(ctx context.Context, backendID string, limit int) ([]digest.Digest, error) {
	failed, err := s.reg.Failed(ctx, backendID, limit)
	return failed, registryError("look up failed locations on "+backendID, err)
}
