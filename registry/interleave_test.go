package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/cas/digest"
)

// The tests here play the engine's protocols against the model in every
// interleaving of their steps: what the model calls stored must be there in
// every state, whoever pushes, keeps, deletes and collects at once, with no grace at all.

// world is a registry, the objects of one backend, and how far each actor is.
type world struct {
	model   Model
	clock   time.Time
	objects map[digest.Digest]bool
	actors  []actor
	story   []string // what happened, for a failure
}

// actor is a protocol under way. Its steps are one call each of the registry or the
// backend: between two of them anything may happen.
type actor struct {
	name  string
	steps []func(w *world, a *actor) bool // false: it gives up
	next  int

	seen    uint64 // what it has read
	blob    Blob
	pack    Package
	removes bool // an object of which it has begun the removal
}

// after returns the world in which one actor has made its next step.
func (w world) after(i int) world {
	w.objects = maps.Clone(w.objects)
	w.actors = slices.Clone(w.actors)
	w.clock = w.clock.Add(time.Second)
	a := &w.actors[i]
	w.story = append(slices.Clone(w.story), fmt.Sprintf("%s %d", a.name, a.next))
	step := a.steps[a.next]
	a.next++
	if !step(&w, a) {
		a.next = len(a.steps)
	}
	return w
}

// append adds events and reports whether they fit.
func (w *world) append(events ...Data) bool {
	var all []Event
	for _, d := range events {
		all = append(all, Event{"ci", d})
	}
	err := w.model.Apply(w.clock, all...)
	if err != nil && !errors.Is(err, ErrConflict) {
		panic(err)
	}
	return err == nil
}

// lost says what is stored or referred to and has no object, "" when all is well.
func (w *world) lost() string {
	for _, b := range w.model.Blobs(digest.Digest{}) {
		stored := false
		for _, l := range b.Locations {
			stored = stored || l.State == Stored
			if l.State == Stored && !w.objects[b.SHA256] {
				return b.SHA256.String() + " is stored, and its object gone"
			}
		}
		if needed := b.References > 0 || b.LeasedUntil.After(w.clock); needed && !stored {
			return b.SHA256.String() + " is needed, and has no location"
		}
	}
	for k, p := range w.model.packages {
		for path, blob := range p.files {
			if _, err := w.model.Blob(blob); err != nil {
				return fmt.Sprintf("%s of %s is gone", path, k)
			}
		}
	}
	return ""
}

// explore plays every interleaving and returns the story of the first loss, and how
// many states it has seen.
func explore(w world) (story string, states int) {
	states = 1
	if what := w.lost(); what != "" {
		return what + ": " + strings.Join(w.story, ", "), states
	}
	for i, a := range w.actors {
		if a.next == len(a.steps) {
			continue
		}
		story, n := explore(w.after(i))
		states += n
		if story != "" {
			return story, states
		}
	}
	return "", states
}

// The blobs of the stories: a layer or child, and an index or package manifest.
var (
	layer = BlobStored{SHA256: abc256, BLAKE3: abcB3, Size: 3}
	index = BlobStored{SHA256: empty256, BLAKE3: emptyB3}
)

// push stores a blob: look, commit the bytes where they are not stored, record. It
// does not ask for removals: what it says it has seen is what keeps it from losing bytes.
func push(b BlobStored, states bool) actor {
	look := func(w *world, a *actor) bool {
		if states {
			a.seen = w.model.position
		}
		a.blob, _ = w.model.Blob(b.SHA256)
		return true
	}
	commit := func(w *world, a *actor) bool {
		if len(a.blob.Locations) == 0 {
			w.objects[b.SHA256] = true
		}
		return true
	}
	record := func(w *world, a *actor) bool {
		var events []Data
		if a.blob.SHA256.IsZero() {
			events = append(events, b)
		}
		if len(a.blob.Locations) == 0 {
			events = append(events, LocationRecorded{b.SHA256, "local", a.seen})
		}
		return w.append(append(events, lease(b, "app"))...)
	}
	return actor{name: "push", steps: []func(*world, *actor) bool{look, commit, record}}
}

func lease(b BlobStored, repository string) BlobLeased {
	return BlobLeased{Blob: b.SHA256, Repository: repository, Producer: repository, RetentionClass: "standard", Until: Forever}
}

// collect removes a blob's object and then the blob: begin, delete, end, collect.
func collect(b BlobStored, cause Cause) actor {
	return actor{name: "collect", steps: []func(*world, *actor) bool{
		func(w *world, _ *actor) bool {
			return w.append(LocationRemoving{Blob: b.SHA256, BackendID: "local", Cause: cause})
		},
		func(w *world, _ *actor) bool { delete(w.objects, b.SHA256); return true },
		func(w *world, _ *actor) bool { return w.append(LocationRemoved{b.SHA256, "local"}) },
		func(w *world, _ *actor) bool { return w.append(BlobCollected{Blob: b.SHA256, IdleSince: w.clock}) },
	}}
}

// do is an actor of one append.
func do(name string, d Data) actor {
	return actor{name: name, steps: []func(*world, *actor) bool{func(w *world, _ *actor) bool { return w.append(d) }}}
}

// looking is an actor that goes by what it has read of a package.
func looking(name string, k PackageKey, then func(Package) Data) actor {
	return actor{name: name, steps: []func(*world, *actor) bool{
		func(w *world, a *actor) (ok bool) {
			p, err := w.model.Package(k)
			a.pack = p
			return err == nil
		},
		func(w *world, a *actor) bool { return w.append(then(a.pack)) },
	}}
}

// attach refers to a blob that it has seen stored.
func attach(name string, b BlobStored, d Data) actor {
	return actor{name: name, steps: []func(*world, *actor) bool{
		func(w *world, _ *actor) bool { return w.model.stored(b.SHA256) },
		func(w *world, _ *actor) bool { return w.append(d) },
	}}
}

// begin is a world in which both blobs are stored, the layer is nobody's and the index
// leased, and a package of files is open.
func begin(actors ...actor) world {
	w := world{clock: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), objects: map[digest.Digest]bool{abc256: true, empty256: true}, actors: actors}
	if !w.append(layer, LocationRecorded{Blob: abc256, BackendID: "local"}, index, LocationRecorded{Blob: empty256, BackendID: "local"},
		lease(index, "app"), PackageCreated{Package: filesKey, Format: FormatFiles, RetentionClass: "standard"}) {
		panic("the beginning does not fit")
	}
	w.clock = w.clock.Add(time.Second)
	return w
}

// with appends what a story begins with too.
func (w world) with(d ...Data) world {
	if !w.append(d...) {
		panic("the beginning does not fit")
	}
	return w
}

func TestInterleavings(t *testing.T) {
	child := PackageKey{"app", "app", abc256.String()}
	manifest := func(b BlobStored, names ...File) PackageCreated {
		return PackageCreated{Package: PackageKey{"app", "app", b.SHA256.String()}, Format: FormatOCI, RetentionClass: "standard",
			Files: names, OCI: &OCI{MediaType: "a/b"}, Manifest: b.SHA256}
	}
	names := File{"layer", abc256}
	expire := looking("expire", child, func(p Package) Data { return PackageExpired{child, p.Revision, "standard"} })
	for name, w := range map[string]world{
		"two pushes, collected and released": begin(push(layer, true), push(layer, true), collect(layer, Unneeded), do("release", BlobReleased{abc256, "app"})),
		"two collectors and a push":          begin(push(layer, true), collect(layer, Unneeded), collect(layer, Unneeded)),
		"a file attached": begin(attach("attach", layer, PackageFileAdded{Package: filesKey, Path: "a", Blob: abc256}),
			do("delete", PackageDeleted{filesKey}), collect(layer, Unneeded), push(layer, true)),
		"a mount": begin(attach("mount", layer, lease(layer, "web")), do("release", BlobReleased{abc256, "web"}),
			collect(layer, Unneeded), push(layer, true)),
		"a manifest that names the layer": begin(attach("manifest", layer, manifest(index, names)), collect(layer, Unneeded),
			push(layer, true), do("delete", PackageDeleted{PackageKey{"app", "app", empty256.String()}})),
		"an index over a child that expires": begin(attach("index", layer, manifest(index, names)), expire,
			do("renew", PackageRenewed{Package: child, RetentionClass: "standard"}), do("delete", PackageDeleted{child}), collect(layer, Unneeded)).with(manifest(layer)),
		"a seal": begin(looking("seal", filesKey, func(p Package) Data { return PackageSealed{filesKey, abc256, p.Revision} }),
			do("delete", PackageDeleted{filesKey}), do("renew", PackageRenewed{Package: filesKey, RetentionClass: "standard"}), collect(layer, Unneeded), push(layer, true)),
		"an orphan": begin(collect(layer, Orphan), push(layer, true), do("delete", PackageDeleted{filesKey}), collect(layer, Unneeded)).
			with(LocationRemoving{Blob: abc256, BackendID: "local", Cause: Unneeded}, LocationRemoved{abc256, "local"}, BlobCollected{Blob: abc256, IdleSince: Forever}),
	} {
		story, states := explore(w)
		if story != "" {
			t.Errorf("%s: %s", name, story)
		}
		if states < 500 {
			t.Errorf("%s: only %d states", name, states)
		}
	}
}

// TestInterleavingsFindLoss shows that a loss would be found: a push that does not
// say what it has seen loses its bytes to a removal that began and ended meanwhile.
func TestInterleavingsFindLoss(t *testing.T) {
	story, _ := explore(begin(push(layer, false), push(layer, true), collect(layer, Unneeded), do("release", BlobReleased{abc256, "app"})).
		with(LocationRemoving{Blob: abc256, BackendID: "local", Cause: Unneeded}, LocationRemoved{abc256, "local"}, BlobCollected{Blob: abc256, IdleSince: Forever}))
	if story == "" {
		t.Error("a push that does not say what it has seen loses nothing")
	}
}
