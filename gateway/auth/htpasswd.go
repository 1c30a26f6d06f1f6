package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/singleflight"
)

// How passwords are compared.
const (
	// lookEvery is how often the file is looked at for a change.
	lookEvery = time.Second
	// remembered is how long a good password need not be compared again, as long as its
	// hash stays the same: the comparison takes long on purpose.
	remembered = 5 * time.Minute
	// maxRemembered bounds how many are, in entries of some 60 bytes.
	maxRemembered = 1 << 14
	// maxWaiting bounds how many comparisons wait for their turn.
	maxWaiting = 32
)

// Htpasswd knows names and passwords by a file of bcrypt hashes, as made by
// "htpasswd -B". The file is read again when it has changed; one that cannot be
// read, or is not well formed, is logged and changes nothing.
//
// Who fails is slowed (see [Throttle]). A name that the file does not have takes the
// time of one that it has.
type Htpasswd struct {
	o HtpasswdOptions

	mu     sync.Mutex
	users  *users
	looked time.Time

	key    [32]byte // of the sums under which passwords are remembered
	good   *bounded[[sha256.Size]byte, time.Time]
	flight singleflight.Group // of equal comparisons
	turns  chan struct{}      // that comparisons take, so that some CPU is left for others
	queue  atomic.Int64
}

// HtpasswdOptions are what an [Htpasswd] is made of.
type HtpasswdOptions struct {
	File     string
	Users    map[string][]Grant // what names may do; one without grants may do nothing
	Throttle *Throttle          // nil is one of its own
	Now      func() time.Time
	Log      *slog.Logger
}

// users are the hashes of a file as it was once.
type users struct {
	hashes map[string]string
	names  []string // sorted
	seed   maphash.Seed
	info   fs.FileInfo
	failed string // what was wrong with the file at the last look
}

// NewHtpasswd reads the file. Its error repeats nothing of a hash.
func NewHtpasswd(o HtpasswdOptions) (*Htpasswd, error) {
	hashes, info, err := readHtpasswd(o.File)
	if err != nil {
		return nil, err
	}
	if o.Throttle == nil {
		o.Throttle = NewThrottle(o.Now)
	}
	h := &Htpasswd{
		o: o, looked: o.Now(), good: newBounded[[sha256.Size]byte, time.Time](maxRemembered),
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)),
	}
	h.users = newUsers(hashes, info)
	rand.Read(h.key[:])
	return h, nil
}

func newUsers(hashes map[string]string, info fs.FileInfo) *users {
	return &users{hashes: hashes, names: slices.Sorted(maps.Keys(hashes)), seed: maphash.MakeSeed(), info: info}
}

// nobody is a hash, of the usual cost, for a file that has none.
const nobody = "$2a$10$7EqJtq98hPqEX7fNZaFWoOhi5B0xJqJ8Z7yqJ4oZqYxq1o7xk8Jxy"

// hash is what a password for a name is compared with. For a name that is not there
// it is that of another one, always the same, whose cost is as likely as any.
func (u *users) hash(name string) (hash string, known bool) {
	if hash, known = u.hashes[name]; known {
		return hash, true
	}
	if len(u.names) == 0 {
		return nobody, false
	}
	return u.hashes[u.names[maphash.String(u.seed, name)%uint64(len(u.names))]], false
}

// Identify implements [Method] for names and passwords.
func (h *Htpasswd) Identify(_ context.Context, c Credentials) (Principal, bool, error) {
	if c.User == "" && c.Password == "" {
		return Principal{}, false, nil
	}
	hash, known := h.current().hash(c.User)
	if err := h.check(c, hash, known); err != nil {
		return Principal{}, false, err
	}
	return Principal{Name: c.User, Grants: h.o.Users[c.User]}, true, nil
}

// check refuses a password that is not good. A good one that is remembered is still
// slowed where its name failed too often at its network: what is quick must not be a
// way to guess.
func (h *Htpasswd) check(c Credentials, hash string, known bool) error {
	counted := h.o.Throttle.password(c.Remote, c.User)
	if slowed := h.o.Throttle.look(counted[:1]); slowed != nil {
		return slowed
	}
	key := h.sum(c, hash)
	if known && h.remembers(key) {
		return nil
	}
	_, err, _ := h.flight.Do(string(key[:]), func() (any, error) {
		if slowed := h.o.Throttle.take(counted); slowed != nil {
			return nil, slowed
		}
		good, err := h.compare(hash, c.Password)
		if err != nil || good && known {
			h.o.Throttle.giveBack(counted)
		}
		if err == nil && !(good && known) {
			err = ErrCredentials
		}
		if err == nil {
			h.remember(key)
		}
		return nil, err
	})
	return err
}

// compare takes the time that bcrypt is for, when it is its turn.
func (h *Htpasswd) compare(hash, password string) (good bool, err error) {
	defer h.queue.Add(-1)
	if h.queue.Add(1) > maxWaiting {
		return false, &Slowed{For: time.Second}
	}
	h.turns <- struct{}{}
	defer func() { <-h.turns }()
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil, nil
}

// sum is what a password is remembered by: it says nothing of it without the key,
// which lives as long as the process, and is another at another network and for
// another hash.
func (h *Htpasswd) sum(c Credentials, hash string) (sum [sha256.Size]byte) {
	m := hmac.New(sha256.New, h.key[:])
	at, _ := network(c.Remote).MarshalBinary()
	for _, part := range []string{c.User, c.Password, hash, string(at)} {
		fmt.Fprintf(m, "%d:%s", len(part), part)
	}
	m.Sum(sum[:0])
	return sum
}

func (h *Htpasswd) remembers(key [sha256.Size]byte) bool {
	until, ok := h.good.get(key)
	return ok && h.o.Now().Before(until)
}

func (h *Htpasswd) remember(key [sha256.Size]byte) {
	h.good.put(key, h.o.Now().Add(remembered))
}

// current returns what the file says now, or at most a moment ago.
func (h *Htpasswd) current() *users {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.o.Now()
	if now.Sub(h.looked) < lookEvery {
		return h.users
	}
	h.looked = now
	info, err := os.Stat(h.o.File)
	if err == nil && sameFile(info, h.users.info) {
		return h.users
	}
	hashes, info, err := readHtpasswd(h.o.File)
	if err == nil {
		h.users = newUsers(hashes, info)
		return h.users
	}
	if h.users.failed != err.Error() {
		h.users.failed = err.Error()
		h.o.Log.Error("the changed htpasswd file is not taken; what it said before holds", "error", err)
	}
	return h.users
}

// sameFile reports whether a file has not changed, as far as can be told from
// outside.
func sameFile(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

var _ Method = (*Htpasswd)(nil)
