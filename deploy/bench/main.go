// Command bench measures the gateway beside a reference, on this machine, in
// one run: the built gateway as users run it (local backend, SQLite, its access
// log in a file) and a minimal server ([minimal]) that only hashes, writes, syncs
// and renames, and serves files by http.ServeContent. Absolute figures differ
// from machine to machine and from minute to minute; the ratios are what counts.
//
//	bench [-gateway bin/artifactstore] [-dir DIR] [-rounds 5] [-size 1GiB in bytes]
//	bench -registries NAME=PROGRAM,... [the same]
//	bench -s3 http://ACCESS:SECRET@HOST:PORT/BUCKET -postgres URL [the same]
//
// One row has another reference: `artifactstore push` of 10,000 small files is set
// beside raw puts to the same gateway (push.go; alone with -only push). Small reads with
// a token are set beside the same of a gateway that asks nobody (auth.go; -only auth).
//
// The second form measures the OCI face beside other registries and prints a
// table (oci.go). The third measures the gateway before an S3 service beside the SDK
// before the same, and PostgreSQL beside SQLite, and prints a table (s3.go).
//
// How it measures: both servers are processes of their own, whose CPU time is
// read from /proc. Each row runs in rounds, in each of which both have their turn,
// the order changing; the ratio is the median of the rounds' ratios. The client is
// a few lines over a connection, so that its own work, which is the same for
// both, hides little. Two things would spoil the figures. Memory that the machine
// never backed costs a second of CPU a GiB at first touch, so a few GiB are
// touched before anything is measured. A file system avoids inodes freed a
// moment ago, so small puts come first and nothing is deleted before the end; a
// second run wants a pause of some minutes.
//
// It exits 1 where a row misses its target.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.gateway, "gateway", "bin/artifactstore", "the gateway's binary")
	flag.StringVar(&o.dir, "dir", "", "a directory on the disk to measure; a fresh one in it is used, and removed at the end (default: the gateway's directory)")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds a row")
	flag.DurationVar(&o.round, "round", 3*time.Second, "how long a round of small requests lasts")
	flag.Int64Var(&o.size, "size", 1<<30, "bytes of the large blob")
	flag.Int64Var(&o.touch, "touch", 6<<30, "bytes of memory to touch beforehand")
	flag.StringVar(&o.only, "only", "", "the one row to measure; with -s3: puts, appends, transfers or together")
	flag.BoolVar(&o.keep, "keep", false, "keep the directory")
	registries := flag.String("registries", "", "NAME=PROGRAM,... of distribution's registry in some versions: measure the OCI face beside them")
	s3 := flag.String("s3", "", "http://ACCESS:SECRET@HOST:PORT/BUCKET of a Ceph RGW: measure the gateway before it")
	postgres := flag.String("postgres", "", "with -s3: the URL of an empty PostgreSQL database")
	reference := flag.String("minimal", "", "serve this directory as the reference, and do nothing else")
	relayTo := flag.String("relay", "", "pass connections on to this address, and do nothing else")
	flag.Parse()

	var err error
	if *reference != "" {
		err = serveMinimal(*reference)
	} else if *relayTo != "" {
		err = serveRelay(*relayTo)
	} else if *s3 != "" {
		err = runS3(o, *s3, *postgres)
	} else if *registries != "" {
		err = runOCI(o, *registries)
	} else {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	gateway, dir, only string
	rounds             int
	round              time.Duration
	size, touch        int64
	keep               bool
}

var errMissed = errors.New("a row missed its target")

func run(o options) (failed error) {
	gateway, dir, remove, err := place(o)
	if err != nil {
		return err
	}
	defer remove()
	touch(o.touch)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ref, err := startServer("minimal", filepath.Join(dir, "minimal"), "/livez", self, "-minimal", ".")
	if err != nil {
		return err
	}
	defer ref.stop()
	gw, err := startServer("gateway", filepath.Join(dir, "gateway"), "/livez", gateway, "serve")
	if err != nil {
		return err
	}
	defer gw.stop()
	if o.only == "" || o.only == pushOnly {
		ok, err := measurePush(o, gateway, gw)
		if err != nil {
			return fmt.Errorf("push: %w", err)
		}
		if !ok {
			defer func() { failed = errors.Join(failed, errMissed) }()
		}
	}
	if o.only == pushOnly {
		return nil
	}
	if o.only == "" || o.only == authOnly {
		ok, err := measureAuth(o, gateway, dir)
		if err != nil {
			return fmt.Errorf("auth: %w", err)
		}
		if !ok {
			defer func() { failed = errors.Join(failed, errMissed) }()
		}
	}
	if o.only == authOnly {
		return nil
	}
	return measureAll(o, gw, ref)
}

// place returns the gateway's binary and a fresh directory, and what removes it.
func place(o options) (gateway, dir string, remove func(), err error) {
	if gateway, err = filepath.Abs(o.gateway); err != nil {
		return "", "", nil, err
	}
	if o.dir == "" {
		o.dir = filepath.Dir(gateway)
	}
	if dir, err = os.MkdirTemp(o.dir, "bench-"); err != nil {
		return "", "", nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", "", nil, err
	}
	if o.keep {
		return gateway, dir, func() {}, nil
	}
	return gateway, dir, func() { os.RemoveAll(dir) }, nil
}
