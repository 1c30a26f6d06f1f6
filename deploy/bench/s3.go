package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"artifactstore/backends/s3/s3test"
)

// The shape of what is measured: parts of the size and as many at once as the
// backend's defaults, on both sides.
const (
	partBytes   = 8 << 20
	partsAtOnce = 4
)

// bucketConfig is a gateway on SQLite whose bytes go to a bucket. Beside it is the
// same bucket seen through a recorder, for what the producer "watched" sends.
const bucketConfig = `backends:
  - {id: rgw, endpoint_url: %[1]s, key_prefix: bench, %[3]s}
  - {id: watched, endpoint_url: %[2]s, key_prefix: watched, %[3]s}
routing:
  default: rgw
  rules: [{producer: watched, backend: watched}]
`

// s3Bench is a gateway before a bucket, and the SDK before the same.
type s3Bench struct {
	w        *workload
	server   s3test.Server
	bare     *s3test.Bare
	relayed  *s3test.Bare // through a relay
	recorder *s3test.Recorder
	gateway  *server
	serial   int
	path     string // of what is downloaded, on the gateway
	key      string // and in the bucket
}

// runS3 measures what a gateway costs before a bucket, and what PostgreSQL costs
// beside SQLite, and prints a table. Small puts come first (see the package
// comment). Transfers are measured twice, as deploy/dev/bench-s3.sh has it: with the
// service on processors of its own, as it is wherever it is used, and together with
// it on the same ones. There a rate is what processors have left, and no target is set:
// beside the gateway is a relay instead, which shows what it costs there to stand
// between at all.
func runS3(o options, address, postgres string) error {
	gateway, dir, remove, err := place(o)
	if err != nil {
		return err
	}
	defer remove()
	touch(o.touch)
	t, w := newTable(o), newWorkload(o)
	for _, part := range []struct {
		name    string
		measure func() error
	}{
		{"puts", func() error { return smallPutsOnBoth(t, w, gateway, dir, postgres) }},
		{"appends", func() error { return appendsOnBoth(t, o, dir, postgres) }},
		{"transfers", func() error { return transfers(t, w, gateway, dir, address, (*s3Bench).transfers) }},
		{"together", func() error { return transfers(t, w, gateway, dir, address, (*s3Bench).together) }},
	} {
		if o.only != "" && o.only != part.name {
			continue
		}
		if err := part.measure(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if t.missed {
		return errMissed
	}
	return nil
}

// smallPutsOnBoth compares two gateways with local backends.
func smallPutsOnBoth(t *table, w *workload, gateway, dir, postgres string) error {
	lite, err := startServer("sqlite", filepath.Join(dir, "sqlite"), "/livez", gateway, "serve")
	if err != nil {
		return err
	}
	defer lite.stop()
	os.Setenv("ARTIFACTSTORE_REGISTRY_URL", postgres)
	big, err := startServer("postgres", filepath.Join(dir, "postgres"), "/livez", gateway, "serve")
	os.Unsetenv("ARTIFACTSTORE_REGISTRY_URL")
	if err != nil {
		return err
	}
	defer big.stop()
	return t.compare("4 KiB puts at 32 clients: PostgreSQL + local / SQLite + local", "put", 0.5,
		func() (turn, error) { return w.smallPuts(big) },
		func() (turn, error) { return w.smallPuts(lite) })
}

// transfers compares large uploads and downloads with those of the SDK.
func transfers(t *table, w *workload, gateway, dir, address string, measure func(*s3Bench, *table) error) error {
	b, stop, err := newS3Bench(w, gateway, dir, address)
	if err != nil {
		return err
	}
	defer stop()
	return measure(b, t)
}

func newS3Bench(w *workload, gateway, dir, address string) (b *s3Bench, stop func(), err error) {
	server, err := s3test.Parse(address)
	if err != nil {
		return nil, nil, err
	}
	b = &s3Bench{w: w, server: server, bare: s3test.NewBare(server, partBytes, partsAtOnce)}
	if b.recorder, err = s3test.NewRecorder(server.EndpointURL); err != nil {
		return nil, nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	front := &http.Server{Handler: b.recorder}
	go front.Serve(l)
	dir = filepath.Join(dir, "rgw")
	if err := writeBucketConfig(dir, server, "http://"+l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if b.gateway, err = startServer("gateway", dir, "/readyz", gateway, "serve", "--config", "artifactstore.yaml"); err != nil {
		return nil, nil, err
	}
	return b, func() { b.gateway.stop(); front.Close() }, nil
}

func writeBucketConfig(dir string, server s3test.Server, watched string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	common := fmt.Sprintf("type: s3, region: %s, bucket: %s, path_style: true, access_key_ref: file:%[3]s/access, secret_key_ref: file:%[3]s/secret", server.Region, server.Bucket, dir)
	for name, text := range map[string]string{
		"access": server.AccessKey, "secret": server.SecretKey,
		"artifactstore.yaml": fmt.Sprintf(bucketConfig, server.EndpointURL, watched, common),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// collected is how long RGW, as deploy/dev sets it up, takes to give the room of
// deleted objects back (its collector runs each 5 s, on what is 5 s old): until
// then it would work beside the next round.
const collected = 12 * time.Second

// forget deletes objects and waits until their room is free.
func (b *s3Bench) forget(keys ...string) error {
	for _, key := range keys {
		if err := b.bare.Delete(context.Background(), key); err != nil {
			return err
		}
	}
	time.Sleep(collected)
	return nil
}
