// Command verifybench measures "artifactstore storage verify" beside the tools
// that it replaces, on this machine, in one run: sha256sum and a BLAKE3 of the
// same files with as many workers, for large objects; objects a second with their
// events, for small ones; how well a limited rate is kept; and the memory of all
// of it. It exits with 1 where a target is missed.
//
//	verifybench [-dir DIR] [-large N] [-small N] PROGRAM
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/zeebo/blake3"

	"artifactstore/backends/local"
	"artifactstore/cas"
	"artifactstore/registry/sqlite"
)

// workers is how many objects everything reads at once.
const workers = 2

// The targets.
const (
	leastRatio   = 0.9
	leastSmall   = 2000      // objects a second
	mostMemory   = 100 << 20 // bytes
	mostRateMiss = 0.05
)

const (
	largeSize = 512 << 20
	smallSize = 4 << 10
	rate      = 50_000_000 // bytes a second: less than a machine with much else to do can read
)

var missed bool

func main() {
	dir := flag.String("dir", os.TempDir(), "where the store is made, in a directory of its own")
	large := flag.Int("large", 20, "large objects, 512 MiB each")
	small := flag.Int("small", 100_000, "small objects, 4 KiB each")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: verifybench [flags] PROGRAM")
		os.Exit(2)
	}
	program, err := filepath.Abs(flag.Arg(0))
	if err == nil {
		err = run(program, *dir, *large, *small)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "verifybench:", err)
	}
	if err != nil || missed {
		os.Exit(1)
	}
}

func run(program, dir string, large, small int) error {
	if err := largeObjects(program, dir, large); err != nil {
		return err
	}
	return smallObjects(program, dir, small)
}

func largeObjects(program, dir string, n int) error {
	s, err := newStore(program, dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if err := s.fill(n, largeSize, workers); err != nil {
		return err
	}
	var reference, verify time.Duration
	var memory int64
	for range 2 { // the better of two: the first may find files that are not in memory
		took, err := s.hash()
		if err != nil {
			return err
		}
		reference = better(reference, took)
		took, used, err := s.verify()
		if err != nil {
			return err
		}
		verify, memory = better(verify, took), max(memory, used)
	}
	gib := float64(n) * largeSize / (1 << 30)
	ratio := reference.Seconds() / verify.Seconds()
	fmt.Printf("%d objects of 512 MiB, %d at once: sha256sum and BLAKE3 %.2f GiB/s, verify %.2f GiB/s\n", n, workers, gib/reference.Seconds(), gib/verify.Seconds())
	judge(fmt.Sprintf("ratio %.2f, at least %.2f", ratio, leastRatio), ratio >= leastRatio)
	judge(fmt.Sprintf("memory %.1f MiB, at most %d", float64(memory)/(1<<20), mostMemory>>20), memory <= mostMemory)

	took, _, err := s.verify("--rate", fmt.Sprint(rate), "--sample", fmt.Sprint(min(1, 4/float64(n))))
	if err != nil {
		return err
	}
	read, err := s.lastBytes()
	if err != nil {
		return err
	}
	off := float64(read)/took.Seconds()/rate - 1
	fmt.Printf("at most %d MB/s: %d MB in %s\n", rate/1_000_000, read/1_000_000, took.Round(time.Millisecond))
	judge(fmt.Sprintf("off by %+.1f %%, at most %.0f %%", 100*off, 100*mostRateMiss), read > 0 && off <= mostRateMiss && off >= -mostRateMiss)
	return nil
}

func smallObjects(program, dir string, n int) error {
	s, err := newStore(program, dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	if err := s.fill(n, smallSize, 16); err != nil {
		return err
	}
	took, memory, err := s.verify()
	if err != nil {
		return err
	}
	speed := float64(n) / took.Seconds()
	fmt.Printf("%d objects of 4 KiB, with an event each: %s\n", n, took.Round(time.Millisecond))
	judge(fmt.Sprintf("%.0f a second, at least %d", speed, leastSmall), speed >= leastSmall)
	judge(fmt.Sprintf("memory %.1f MiB, at most %d", float64(memory)/(1<<20), mostMemory>>20), memory <= mostMemory)
	return nil
}

func judge(what string, met bool) {
	word := "met"
	if !met {
		word, missed = "MISSED", true
	}
	fmt.Printf("  %s: %s\n", what, word)
}

func better(a, b time.Duration) time.Duration {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// store is one on a local directory and SQLite.
type store struct {
	program, dir string
}

func newStore(program, dir string) (*store, error) {
	dir, err := os.MkdirTemp(dir, "artifactstore-verifybench-")
	return &store{program, dir}, err
}

// open opens the store as the command does.
func (s *store) open(ctx context.Context) (st *cas.Store, done func() error, err error) {
	reg, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(s.dir, "artifactstore-data/registry.db")})
	if err != nil {
		return nil, nil, err
	}
	b, err := local.Open(ctx, local.Options{Root: filepath.Join(s.dir, "artifactstore-data/blobs")})
	if err == nil {
		st, err = cas.New(cas.Options{
			Registry: reg, Backends: []cas.Backend{{ID: "local", Backend: b}},
			Policy: cas.Policy{Default: "local", DefaultClass: "standard", Classes: map[string]time.Duration{"standard": -1}},
		})
	}
	return st, reg.Close, err
}

// fill stores n objects of random bytes.
func (s *store) fill(n, size, at int) error {
	ctx := context.Background()
	st, done, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer done()
	return each(n, at, func(i int) error {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(i))
		_, err := st.Put(ctx, io.LimitReader(rand.NewChaCha8(seed), int64(size)), cas.PutOptions{Principal: "bench", Producer: "bench", Size: int64(size)})
		return err
	})
}

// each calls do for 0 to n-1, several at once.
func each(n, at int, do func(i int) error) error {
	var all sync.WaitGroup
	errs := make([]error, at)
	for w := range at {
		all.Go(func() {
			for i := w; i < n && errs[w] == nil; i += at {
				errs[w] = do(i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// hash times sha256sum and a BLAKE3 of every file.
func (s *store) hash() (time.Duration, error) {
	var files []string
	err := filepath.WalkDir(filepath.Join(s.dir, "artifactstore-data/blobs/sha256"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	start := time.Now()
	err = each(len(files), workers, func(i int) error {
		if err := exec.Command("sha256sum", files[i]).Run(); err != nil {
			return fmt.Errorf("sha256sum: %w", err)
		}
		f, err := os.Open(files[i])
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.CopyBuffer(struct{ io.Writer }{blake3.New()}, struct{ io.Reader }{f}, make([]byte, 1<<20))
		return err
	})
	return time.Since(start), err
}

// verify times the command and returns the most memory that it had.
func (s *store) verify(flags ...string) (took time.Duration, memory int64, err error) {
	cmd := exec.Command(s.program, append([]string{"storage", "verify", "--backend", "local", "--jobs", fmt.Sprint(workers)}, flags...)...)
	cmd.Dir, cmd.Stderr = s.dir, os.Stderr
	start := time.Now()
	err = cmd.Run()
	took = time.Since(start)
	if err != nil {
		return took, 0, fmt.Errorf("%v: %w", cmd.Args, err)
	}
	return took, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10, nil
}

// lastBytes returns how much the last run read.
func (s *store) lastBytes() (int64, error) {
	ctx := context.Background()
	st, done, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	known, err := st.Verified(ctx, "local")
	if err != nil {
		return 0, err
	}
	return known.Last.Bytes, nil
}
