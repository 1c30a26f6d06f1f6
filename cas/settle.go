package cas

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// settleTries bounds how often a put looks again after a conflict. Each
// conflict means that another request changed the same blob in between, and
// every such change but a failure brings the blob nearer to what this one wants.
const settleTries = 16

// settle makes the received content a stored, leased blob. It looks at what the
// registry has, commits the bytes unless a stored location is there, and
// appends what is then new. The registry refuses events that no longer fit what
// it has, and settle looks again. What can be committed again starts with a guess
// where that is cheap.
//
// A blob that who asks may not know is written as a new one is, whatever is there:
// the same bytes once more under their key. Its location stays as it was recorded.
//
// From here on the client has sent all it can: its going away no longer stops
// the effects, so that bytes and events stay together.
func (p *put) settle(ctx context.Context, w *writing) (Stored, error) {
	ctx = context.WithoutCancel(ctx)
	id := p.hash.Identity()
	known, err := p.knows(ctx, id.SHA256)
	if err != nil {
		return Stored{}, err
	}
	for try := range settleTries {
		if err := p.mayRecord(ctx, id); err != nil {
			return Stored{}, err
		}
		b, err := p.lookOrGuess(ctx, id, try == 0 && w.again && p.Knows == nil)
		if err != nil {
			return Stored{}, err
		}
		existed := known && stateOn(b, p.backendID) == registry.Stored
		if !existed {
			if err := w.write(ctx, p, id.SHA256); err != nil {
				return Stored{}, err
			}
		}
		events, err := p.events(ctx, id, b, w.seen)
		if err != nil {
			return Stored{}, err
		}
		if !existed {
			if err := w.say(p, id.SHA256, events); err != nil {
				return Stored{}, err
			}
		}
		err = p.append(ctx, events...)
		if err == nil {
			if !known {
				b.SHA512 = digest.Digest{}
			}
			return p.stored(id, b, existed), nil
		}
		if !errors.Is(err, registry.ErrConflict) {
			return Stored{}, registryError("record "+id.SHA256.String(), err)
		}
	}
	return Stored{}, fmt.Errorf("record %s: %w: it keeps changing", id.SHA256, ErrRegistryUnavailable)
}

// mayRecord refuses what is not to be replaced.
func (p *put) mayRecord(ctx context.Context, id digest.Identity) error {
	if p.replaces == nil || !p.CreateOnly {
		return nil
	}
	return p.replaces(ctx, id)
}

// lookOrGuess spares the question where the backend knows that it has no such
// object: then the blob is new, and where it is not, the registry refuses what
// follows.
func (p *put) lookOrGuess(ctx context.Context, id digest.Identity, guess bool) (registry.Blob, error) {
	if guess && backends.Absent(p.backend(p.backendID), id.SHA256.Key()) {
		return registry.Blob{}, nil
	}
	return p.lookUp(ctx, id)
}

// lookUp returns the blob with a digest, a zero one where there is none.
func (p *put) lookUp(ctx context.Context, id digest.Identity) (registry.Blob, error) {
	b, err := p.reg.Blob(ctx, id.SHA256)
	if errors.Is(err, fs.ErrNotExist) {
		return registry.Blob{}, nil
	}
	return b, registryError("look up "+id.SHA256.String(), err)
}

// events returns what has to be said so that blob b, as the registry has it,
// becomes one that is stored on the put's backend and kept.
func (p *put) events(ctx context.Context, id digest.Identity, b registry.Blob, seen uint64) ([]registry.Event, error) {
	events := make([]registry.Event, 0, 3)
	say := func(d registry.Data) { events = append(events, event(p.Principal, d)) }

	sha512 := p.sum512()
	if b.SHA256.IsZero() || (b.SHA512.IsZero() && !sha512.IsZero()) {
		say(registry.BlobStored{SHA256: id.SHA256, BLAKE3: id.BLAKE3, SHA512: sha512, Size: id.Size})
	}
	switch stateOn(b, p.backendID) {
	case "":
		say(registry.LocationRecorded{Blob: id.SHA256, BackendID: p.backendID, Seen: seen})
	case registry.Failed:
		say(registry.LocationRepaired{Blob: id.SHA256, BackendID: p.backendID, Source: "push", Seen: seen})
	}
	p.unneeded = b.References == 0
	kept, err := p.keep(ctx, id)
	for _, d := range kept {
		say(d)
	}
	return events, err
}

// keep returns what keeps the blob: what the put records of it, or a lease.
func (p *put) keep(ctx context.Context, id digest.Identity) ([]registry.Data, error) {
	if p.record != nil {
		return p.record(ctx, id)
	}
	return []registry.Data{registry.BlobLeased{
		Blob: id.SHA256, Repository: p.Repository, Producer: p.Producer, RetentionClass: p.RetentionClass, Until: p.until,
	}}, nil
}

func (p *put) stored(id digest.Identity, b registry.Blob, existed bool) Stored {
	sha512 := p.sum512()
	if sha512.IsZero() {
		sha512 = b.SHA512
	}
	return Stored{Identity: id, SHA512: sha512, BackendID: p.backendID, Existed: existed, LeasedUntil: p.until}
}

// stateOn returns the state of a blob's location on a backend, "" without one.
func stateOn(b registry.Blob, backendID string) registry.State {
	for _, l := range b.Locations {
		if l.BackendID == backendID {
			return l.State
		}
	}
	return ""
}
