// Package sqlite is the embedded registry: one SQLite file that any number of
// processes of one machine share.
//
// # Format
//
// migrations/ is the schema and its documentation. The file is in WAL mode; a
// commit is durable when it returns (synchronous=FULL: the write-ahead log is
// synced before it). Processes share memory beside the file, so it must be on a
// disk of this machine: a network file system will not do.
//
// # Writing
//
// One goroutine writes, on one connection. It takes what waits, up to a bound,
// and commits it in one immediate transaction with one sync, while the next
// group gathers; there is no timer. Where one of a group is refused the transaction is
// rolled back and all are made again, each in a savepoint: the refused one leaves no
// trace and disturbs no other. The transaction reads the head of the log after it
// has the lock, so positions have no gap whichever process writes.
//
// # Sharing
//
// SQLite's lock is not fair: who commits and begins again at once keeps the lock
// from everybody else. So a writer that waits asks again every millisecond or
// two, and one that has written without a pause for a while makes a
// longer one than that. A command beside a serving gateway therefore waits tens
// of milliseconds, never for ever.
//
// # Reading
//
// Readers have connections of their own, see the last commit and wait for
// nobody. Blobs that were looked up since the last commit, by whichever process,
// are answered from memory (remember.go).
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"artifactstore/registry"
)

// Options say which database to open and how.
type Options struct {
	// Path is the database file. It and its folder are created where absent.
	Path string
	// Busy is how long a call waits for other processes' writes before it is
	// ErrUnavailable; 0 is ten seconds.
	Busy time.Duration
	// Readers is how many reads run at once; 0 is twice the processors, at
	// least four. Each holds at most two megabytes of cache.
	Readers int
	// Now is the clock that events get their times from; nil is time.Now.
	Now func() time.Time
}

func (o *Options) fill() error {
	if o.Path == "" {
		return fmt.Errorf("the database has no path")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return err
	}
	o.Path = path
	if o.Busy == 0 {
		o.Busy = 10 * time.Second
	}
	if o.Readers == 0 {
		o.Readers = max(4, 2*runtime.NumCPU())
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// Registry is a registry in an SQLite file.
type Registry struct {
	options Options
	gate    *gate
	readers *pool
	writer  *writer
	news    *news
	memory  memory[registry.Blob]
	tokens  memory[registry.Token]
}

var (
	_ registry.Registry  = (*Registry)(nil)
	_ registry.Packages  = (*Registry)(nil)
	_ registry.Retention = (*Registry)(nil)
	_ registry.Claims    = (*Registry)(nil)
	_ registry.Auth      = (*Registry)(nil)
)

// Open opens a database, creates it where absent, and brings it to this
// program's schema. One that a newer program wrote is registry.ErrSchema. Several
// processes may open one at the same time.
func Open(ctx context.Context, o Options) (*Registry, error) {
	if err := o.fill(); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	if err := makeFolder(filepath.Dir(o.Path)); err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	if err := migrate(ctx, o.Path, o.Busy); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", o.Path, translate(err))
	}
	r := &Registry{options: o, gate: newGate()}
	r.readers = newPool(o.Readers, func() (*conn, error) {
		return dial(o.Path, o.Busy, "foreign_keys(1)", "query_only(1)", "cache_size(-2000)")
	})
	r.news = newNews(func() (uint64, error) { return r.position(context.Background()) })
	r.writer = newWriter(o.Busy, o.Now, r.news.tell, func() (*conn, error) { return dialWriter(o.Path) })
	if err := r.startWriter(ctx); err != nil {
		return nil, fmt.Errorf("open registry %s: %w", o.Path, translate(err))
	}
	index := openIndex(func() (*conn, error) { return dial(o.Path, o.Busy, "query_only(1)", "cache_size(1)") }, o.Path)
	r.memory = memory[registry.Blob]{index: index, copy: copyBlob}
	r.tokens = memory[registry.Token]{index: index, copy: copyToken}
	return r, nil
}

// startWriter opens the writer's connection, which waits for nobody by itself,
// while another process that opens or closes the database may have it locked.
func (r *Registry) startWriter(ctx context.Context) error {
	for began := time.Now(); ; {
		err := r.writer.start()
		if !isBusy(err) || time.Since(began) > r.options.Busy {
			return err
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// makeFolder makes a folder and those above it durable, as MkdirAll does not: an
// acknowledged event must not vanish with the folder that its file is in.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
		return err
	}
	if err := makeFolder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	parent, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return err
	}
	return errors.Join(parent.Sync(), parent.Close())
}

// dialWriter opens the connection that writes. Its busy time-out is nought: the
// writer asks for the lock itself, more often than SQLite does. A checkpoint
// every 16 MB copies a page that many commits changed once. What a savepoint
// keeps stays in memory: in a temporary file it would be one more for the disk's
// journal at each commit.
func dialWriter(path string) (*conn, error) {
	return dial(path, 0, "foreign_keys(1)", "synchronous(FULL)",
		"temp_store(MEMORY)", "cache_size(-16000)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)")
}

// Close waits for the calls under way and closes the database. Calls that come
// later, and those in Wait, get registry.ErrUnavailable.
func (r *Registry) Close() error {
	if !r.gate.close() {
		return nil
	}
	r.news.stop()
	err := r.writer.stop()
	for _, e := range []error{r.readers.close(), r.memory.index.close()} {
		if err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("close registry: %w", err)
	}
	return nil
}
