package cas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"artifactstore/cas/digest"
)

// Where the database is lost, the backends still say most of what it said: a blob
// has the name of its digest, and what holds packages and images together are
// manifests, which are blobs. A rebuild reads that back.
//
//	list of objects ─► read once, hashed ─► blob_stored, location_recorded, blob_leased
//	the log's leases of manifests ────────► read again ─► package.created, package.sealed
//
// Every blob gets a lease of the actor "rebuild", so nothing is collected before
// somebody has looked. Whether its bytes are a manifest is seen as they pass,
// and the lease says so: the second half finds the manifests in the log, in
// constant memory, however many runs the first half took.
const (
	actorRebuild   = "rebuild"
	turnRebuild    = "rebuild"
	leasedBlob     = "rebuild"          // the producer of the leases
	leasedManifest = "rebuild.manifest" // of blobs whose bytes are a manifest
)

// ErrRegistryUsed means that a registry has events already, which are not those of
// a rebuild that was interrupted.
var ErrRegistryUsed = errors.New("the registry has events already")

// RebuildOptions say how a registry is made anew from backends.
type RebuildOptions struct {
	Backends []string // ids
	// Missing adds what a registry that has events does not know, as after it was
	// restored from a backup. What it knows stays as it is.
	Missing bool
	// Repository takes the OCI manifests: theirs is nowhere written.
	Repository string
	// RetentionClass is the class of the leases and of the OCI manifests; "" is the
	// default class.
	RetentionClass string
	// SHA512 computes it of every blob, so that it is found by it again.
	SHA512 bool
	// ManifestBytes is the largest manifest.
	ManifestBytes int64
	// Concurrency is how many objects are read at once; 0 is 2.
	Concurrency int
	// ParseOCI reads a manifest of a repository; an error says that it is none.
	ParseOCI func(body []byte) (Manifest, error)
	// Progress, which may be nil, is told from time to time what is done and how much
	// of it, from 0 to 1.
	Progress func(what string, done float64, so Rebuilt)
	// Waiting, which may be nil, is told who is at it, where somebody is.
	Waiting func(*TakenError)
}

// Rebuilt is what a rebuild has found and done, this run alone.
type Rebuilt struct {
	Objects  int64 `json:"objects"`  // of the backends, under keys of blobs
	Known    int64 `json:"known"`    // of them, recorded before
	Adopted  int64 `json:"adopted"`  // of them, recorded now
	Bytes    int64 `json:"bytes"`    // of these
	Changing int64 `json:"changing"` // of them, removed meanwhile or being removed

	Wrong       int64         `json:"wrong"` // of them, not what their keys say, or not readable: not recorded
	WrongList   []WrongObject `json:"wrong_list,omitempty"`
	Strangers   int64         `json:"strangers"` // objects under other keys: left alone
	StrangeList []string      `json:"strange_list,omitempty"`

	Packages   int64    `json:"packages"`  // sealed packages made
	Manifests  int64    `json:"manifests"` // OCI manifests put into Repository
	Present    int64    `json:"present"`   // manifests whose package was there
	Unmade     int64    `json:"unmade"`    // manifests that nothing was made of
	UnmadeList []Unmade `json:"unmade_list,omitempty"`
	Repository string   `json:"repository"`
}

// WrongObject is an object that is not the blob its key names.
type WrongObject struct {
	BackendID string `json:"backend_id"`
	Key       string `json:"key"`
	Size      int64  `json:"size"`
	Reason    Result `json:"reason"`
}

// Unmade is a manifest that no package was made of.
type Unmade struct {
	Manifest digest.Digest   `json:"manifest"`
	Package  string          `json:"package"`
	Reason   string          `json:"reason"`
	Missing  []digest.Digest `json:"missing,omitempty"` // what it names and no backend has, the first few
}

// rebuilder is a run.
type rebuilder struct {
	*Store
	o     RebuildOptions
	turn  *Turn
	state rebuildState
	until time.Time // end of the leases
	so    Rebuilt
	told  time.Time
}

// rebuildState is kept from run to run.
type rebuildState struct {
	Open  bool   `json:"open"`  // a run has begun and none has come to the end since
	After uint64 `json:"after"` // the manifests leased up to this position are done with
}

// Rebuild makes the registry of what backends hold. Every object is read once, in
// constant memory; one whose bytes are not what its key says is reported and
// recorded as nothing. Of the manifests among the blobs it makes the packages
// again. It is for an empty registry, and otherwise ErrRegistryUsed, unless
// Missing is set or an earlier run was interrupted, which is then gone on with: what is
// recorded is not read again. Beside an error the report says how far it came.
//
// It waits for its turn, and for the end of a walk for orphans: none are removed from a
// backend while it is read.
func (s *Store) Rebuild(ctx context.Context, o RebuildOptions) (Rebuilt, error) {
	r := &rebuilder{Store: s, o: o, so: Rebuilt{Repository: o.Repository}}
	var err error
	if r.o.RetentionClass, r.until, err = s.policy.class(o.RetentionClass, s.now()); err != nil {
		return r.so, err
	}
	if r.o.Concurrency <= 0 {
		r.o.Concurrency = 2
	}
	for _, id := range o.Backends {
		if s.backend(id) == nil {
			return r.so, fmt.Errorf("%w: %q", ErrBackendUnknown, id)
		}
	}
	err = s.WaitTurn(ctx, turnRebuild, o.Waiting, func(ctx context.Context, t *Turn) error {
		r.turn = t
		return r.run(ctx)
	})
	return r.so, err
}

func (r *rebuilder) run(ctx context.Context) error {
	if err := r.begin(ctx); err != nil {
		return err
	}
	for _, id := range r.o.Backends {
		err := r.WaitTurn(ctx, turnOrphans+id, r.o.Waiting, func(ctx context.Context, _ *Turn) error { return r.adoptFrom(ctx, id) })
		if err != nil {
			return err
		}
	}
	if err := r.makePackages(ctx); err != nil {
		return err
	}
	r.state.Open = false
	return r.save(ctx)
}

// begin finds out whether the registry may be rebuilt, and says that it is.
func (r *rebuilder) begin(ctx context.Context) error {
	last, err := r.reg.Last(ctx)
	if err != nil {
		return registryError("read the log's position", err)
	}
	if text := r.turn.State(); text != nil {
		if err := json.Unmarshal(text, &r.state); err != nil {
			return fmt.Errorf("the state of %s is none: %w", turnRebuild, err)
		}
	}
	if last > 0 && !r.state.Open && !r.o.Missing {
		return fmt.Errorf("%w: %d of them", ErrRegistryUsed, last)
	}
	r.state.Open = true
	return r.save(ctx)
}

func (r *rebuilder) save(ctx context.Context) error {
	text, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	return r.turn.SetState(ctx, text)
}

// tellPause is the least time between two reports of progress.
const tellPause = 100 * time.Millisecond

func (r *rebuilder) tell(what string, done float64) {
	if r.o.Progress != nil && (done == 1 || time.Since(r.told) >= tellPause) {
		r.told = time.Now()
		r.o.Progress(what, done, r.so)
	}
}
