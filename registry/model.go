package registry

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"artifactstore/cas/digest"
)

// Model is the meaning of each event, without a database: what the views hold
// after a log is what a Model holds after the same events. Tests use it as the
// oracle; nothing uses it at run time, so it counts and sorts anew for every
// answer instead of keeping anything twice. The zero Model is an empty log. It
// is not safe for concurrent use.
type Model struct {
	position uint64
	rows     map[digest.Digest]row           // by primary digest
	primary  map[digest.Digest]digest.Digest // from every digest of a blob
	packages map[PackageKey]pack
	tags     map[tagKey]Tag
	holds    map[holdKey]Hold
	removals map[place]Removal
	taken    map[place]uint64 // where the last removal ended
	tokens   map[string]Token // by id
}

// ModelAt returns the model of what comes after a position, for a history in a log
// that has others, which it has nothing in common with.
func ModelAt(position uint64) Model {
	return Model{
		position: position,
		rows:     map[digest.Digest]row{}, primary: map[digest.Digest]digest.Digest{},
		packages: map[PackageKey]pack{}, tags: map[tagKey]Tag{}, holds: map[holdKey]Hold{},
		removals: map[place]Removal{}, taken: map[place]uint64{}, tokens: map[string]Token{},
	}
}

// row is a blob with its leases. A row in a model is never changed in
// place: a clone of the model shares it.
type row struct {
	blob    Blob // without LeasedUntil
	leases  map[holder]Lease
	dropped time.Time // when it lost its last reference or had a lease released
}

// holder is whose lease it is: a repository's, or else an actor's.
type holder struct{ repository, actor string }

func holderOf(actor, repository string) holder {
	if repository != "" {
		return holder{repository: repository}
	}
	return holder{actor: actor}
}

// Apply applies events that the log gave a time: all of them, or with an error
// none. An event that is malformed is ErrRecord, one that does not fit what came
// before is ErrConflict.
func (m *Model) Apply(at time.Time, events ...Event) error {
	for _, e := range events {
		if err := Validate(e); err != nil {
			return err
		}
	}
	next := m.clone()
	for _, e := range events {
		if err := next.apply(at, e); err != nil {
			return err
		}
	}
	*m = next
	return nil
}

func (m *Model) clone() Model {
	if m.rows == nil {
		return ModelAt(m.position)
	}
	return Model{
		m.position, maps.Clone(m.rows), maps.Clone(m.primary), maps.Clone(m.packages), maps.Clone(m.tags),
		maps.Clone(m.holds), maps.Clone(m.removals), maps.Clone(m.taken), maps.Clone(m.tokens),
	}
}

func (m *Model) apply(at time.Time, e Event) error {
	m.position++
	switch d := e.Data.(type) {
	case BlobStored:
		return m.blobStored(at, d)
	case LocationRecorded:
		return m.locationRecorded(at, d)
	case LocationFailed:
		return m.locationFailed(d)
	case LocationRepaired:
		return m.locationRepaired(at, d)
	case LocationVerified:
		return m.locationVerified(at, d)
	case LocationRemoving:
		return m.locationRemoving(at, d)
	case LocationRemoved:
		return m.locationRemoved(d)
	case BlobCollected:
		return m.blobCollected(at, d)
	case BlobLeased:
		return m.blobLeased(holderOf(e.Actor, d.Repository), d)
	case BlobReleased:
		return m.blobReleased(at, holderOf(e.Actor, d.Repository), d)
	case PackageCreated:
		return m.packageCreated(at, d)
	case PackageFileAdded:
		return m.packageFileAdded(at, d)
	case PackageFileRemoved:
		return m.packageFileRemoved(at, d)
	case PackageSealed:
		return m.packageSealed(at, d)
	case PackageRenewed:
		return m.packageRenewed(at, d)
	case PackageDeleted:
		return m.packageDeleted(at, d)
	case PackageHeld:
		return m.packageHeld(at, e.Actor, d)
	case PackageReleased:
		return m.packageReleased(d)
	case PackageExpired:
		return m.packageExpired(at, d)
	case TagSet:
		return m.tagSet(at, d)
	case TagRemoved:
		return m.tagRemoved(d)
	case TokenCreated:
		return m.tokenCreated(at, e.Actor, d)
	case TokenRevoked:
		return m.tokenRevoked(at, d)
	}
	return fmt.Errorf("%w: the model does not know %T", ErrRecord, e.Data)
}

func (m *Model) blobStored(at time.Time, d BlobStored) error {
	was, known := m.rows[d.SHA256]
	if known && !addsSHA512(was.blob, d) {
		return conflict(d, "the blob exists")
	}
	for _, other := range []digest.Digest{d.BLAKE3, d.SHA512} {
		if p, taken := m.primary[other]; taken && p != d.SHA256 {
			return conflict(d, "%s is a digest of %s", other, p)
		}
	}
	if !known {
		was.blob = Blob{Identity: digest.Identity{SHA256: d.SHA256, BLAKE3: d.BLAKE3, Size: d.Size}, StoredAt: at}
	}
	was.blob.SHA512 = d.SHA512
	m.rows[d.SHA256] = was
	for _, of := range []digest.Digest{d.SHA256, d.BLAKE3, d.SHA512} {
		if !of.IsZero() {
			m.primary[of] = d.SHA256
		}
	}
	return nil
}

func addsSHA512(b Blob, d BlobStored) bool {
	return b.SHA512.IsZero() && !d.SHA512.IsZero() && b.BLAKE3 == d.BLAKE3 && b.Size == d.Size
}

func (m *Model) blobLeased(h holder, d BlobLeased) error {
	if !m.stored(d.Blob) {
		return conflict(d, "no stored location")
	}
	r := m.rows[d.Blob]
	if was, leased := r.leases[h]; leased && !was.Until.Before(d.Until) {
		return nil
	}
	leases := map[holder]Lease{}
	maps.Copy(leases, r.leases)
	leases[h] = Lease{h.repository, h.actor, d.Producer, d.RetentionClass, d.Until}
	r.leases = leases
	m.rows[d.Blob] = r
	return nil
}

func (m *Model) blobReleased(at time.Time, h holder, d BlobReleased) error {
	r, ok := m.rows[d.Blob]
	if !ok {
		return conflict(d, "no such blob")
	}
	if _, leased := r.leases[h]; leased {
		r.dropped = at
	}
	r.leases = maps.Clone(r.leases)
	delete(r.leases, h)
	m.rows[d.Blob] = r
	return nil
}

func conflict(d Data, why string, args ...any) error {
	return fmt.Errorf("%w: %s %s: %s", ErrConflict, d.Type(), d.Subject(), fmt.Sprintf(why, args...))
}

// Blob answers as [Views] does.
func (m *Model) Blob(d digest.Digest) (Blob, error) {
	p, ok := m.primary[d]
	if !ok {
		return Blob{}, fmt.Errorf("blob %s: %w", d, fs.ErrNotExist)
	}
	return m.rows[p].answer(m.references()), nil
}

// answer returns the blob, shared with nobody.
func (r row) answer(references map[digest.Digest]int64) Blob {
	b := r.blob
	b.References = references[b.SHA256]
	b.Locations = slices.Clone(b.Locations)
	for _, l := range r.leases {
		if l.Until.After(b.LeasedUntil) {
			b.LeasedUntil = l.Until
		}
	}
	return b
}

// Blobs answers as [Views] does.
func (m *Model) Blobs(after digest.Digest) []Blob {
	var blobs []Blob
	references := m.references()
	for p, r := range m.rows {
		if after.IsZero() || p.Hex() > after.Hex() {
			blobs = append(blobs, r.answer(references))
		}
	}
	slices.SortFunc(blobs, func(a, b Blob) int { return byHex(a.SHA256, b.SHA256) })
	return blobs
}

// Failed answers as [Views] does.
func (m *Model) Failed(backendID string, limit int) []digest.Digest {
	var failed []digest.Digest
	for p, r := range m.rows {
		for _, l := range r.blob.Locations {
			if l.BackendID == backendID && l.State == Failed {
				failed = append(failed, p)
			}
		}
	}
	slices.SortFunc(failed, byHex)
	return failed[:min(limit, len(failed))]
}

func byHex(a, b digest.Digest) int { return strings.Compare(a.Hex(), b.Hex()) }

// Totals answers as [Views] does, by counting. A model has no upload sessions.
func (m *Model) Totals() Totals {
	t := Totals{
		Position: m.position, Blobs: int64(len(m.rows)),
		Locations: map[LocationTotal]int64{}, Packages: map[PackageState]int64{},
	}
	for _, p := range m.packages {
		t.Packages[p.State]++
	}
	for _, r := range m.removals {
		t.Locations[LocationTotal{BackendID: r.BackendID, State: Removing}]++
	}
	for _, r := range m.rows {
		t.BlobBytes += r.blob.Size
		for _, l := range r.blob.Locations {
			t.Locations[LocationTotal{BackendID: l.BackendID, State: l.State}]++
		}
	}
	return t
}
