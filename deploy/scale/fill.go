package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// What the registry is filled with, by numbers. Blobs from 0 on are dead. Then each
// package has perPackage of its own: its files and its manifest. Three packages of ten
// are manifests of repositories, all with one configuration; the last ones are open;
// and one package has as many files as there are packages.
const (
	backendID    = "local"
	perPackage   = 9
	perAppend    = 200 // packages
	writers      = 4
	producers    = 50
	names        = 700
	openPackages = 3000 // packages that are not sealed yet
)

var (
	config  = blob(-1)
	bigKey  = registry.PackageKey{Producer: "big", Name: "big", Version: "1"}
	longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
)

// blob is the n-th blob. It has no bytes.
func blob(n int) digest.Identity {
	sum := func(alg digest.Algorithm, of string) digest.Digest {
		s := sha256.Sum256(fmt.Append(nil, of, n))
		return digest.New(alg, s[:])
	}
	return digest.Identity{SHA256: sum(digest.SHA256, "blob"), BLAKE3: sum(digest.BLAKE3, "other"), Size: int64(n%100_000 + 1)}
}

func isOCI(n int) bool { return n%10 < 3 }

// key is the key of the n-th package.
func (o options) key(n int) registry.PackageKey {
	if isOCI(n) {
		team := fmt.Sprintf("team-%02d", n%producers)
		return registry.PackageKey{Producer: team, Name: fmt.Sprintf("%s/app-%03d", team, n%names), Version: o.own(n)[perPackage-1].SHA256.String()}
	}
	return registry.PackageKey{Producer: fmt.Sprintf("ci-%02d", n%producers), Name: fmt.Sprintf("app-%03d", n%names), Version: fmt.Sprintf("1.%d", n)}
}

func (o options) isOpen(n int) bool { return !isOCI(n) && n >= o.packages-openPackages }

// own are the blobs that only the n-th package has. The last is its manifest.
func (o options) own(n int) []digest.Identity {
	all := make([]digest.Identity, perPackage)
	for i := range all {
		all[i] = blob(o.dead + n*perPackage + i)
	}
	return all
}

func (o options) class(n int) string { return []string{"standard", "release", "ephemeral"}[n%3] }

// fill appends all of it.
func fill(ctx context.Context, o options, reg registry.Registry) error {
	first := append(stored(config), registry.PackageCreated{Package: bigKey, Format: registry.FormatFiles, RetentionClass: "release"})
	if _, err := reg.Append(ctx, events(first...)...); err != nil {
		return err
	}
	return errors.Join(
		together(ctx, reg, o.packages, perAppend, func(from, to int) (all []registry.Data) {
			for n := from; n < min(to, o.packages); n++ {
				all = append(all, o.pack(n)...)
			}
			return all
		}),
		together(ctx, reg, o.dead, perAppend*perPackage, func(from, to int) (all []registry.Data) {
			for n := from; n < min(to, o.dead); n++ {
				all = append(all, stored(blob(n))...)
			}
			return all
		}),
		together(ctx, reg, o.packages, perAppend*perPackage, o.bigFiles),
	)
}

// together appends what a function makes of each part of n numbers.
func together(ctx context.Context, reg registry.Registry, n, part int, of func(from, to int) []registry.Data) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		all.Go(func() {
			for errs[w] == nil {
				from := int(next.Add(1)-1) * part
				if from >= n {
					return
				}
				if data := of(from, from+part); len(data) > 0 {
					_, errs[w] = reg.Append(ctx, events(data...)...)
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func events(data ...registry.Data) []registry.Event {
	all := make([]registry.Event, len(data))
	for i, d := range data {
		all[i] = registry.Event{Actor: "ci", Data: d}
	}
	return all
}

func stored(id digest.Identity) []registry.Data {
	return []registry.Data{
		registry.BlobStored{SHA256: id.SHA256, BLAKE3: id.BLAKE3, Size: id.Size},
		registry.LocationRecorded{Blob: id.SHA256, BackendID: backendID},
	}
}

// pack is the n-th package with its blobs.
func (o options) pack(n int) (all []registry.Data) {
	k, own := o.key(n), o.own(n)
	for _, id := range own {
		all = append(all, stored(id)...)
	}
	last := own[perPackage-1].SHA256
	d := registry.PackageCreated{Package: k, Format: registry.FormatFiles, RetentionClass: o.class(n),
		Labels: map[string]string{"branch": fmt.Sprint("b", n%20), "build": fmt.Sprint(n)}}
	if isOCI(n) {
		for _, id := range own {
			all = append(all, registry.BlobLeased{Blob: id.SHA256, Repository: k.Name, Producer: k.Producer, RetentionClass: d.RetentionClass, Until: longAgo})
		}
		all = append(all, registry.BlobLeased{Blob: config.SHA256, Repository: k.Name, Producer: k.Producer, RetentionClass: d.RetentionClass, Until: longAgo})
		own[perPackage-1] = config
		d.Format, d.Labels, d.Manifest = registry.FormatOCI, nil, last
		d.OCI = &registry.OCI{MediaType: "application/vnd.oci.image.manifest.v1+json"}
	} else {
		own = own[:perPackage-1]
	}
	for i, id := range own {
		d.Files = append(d.Files, registry.File{Path: fmt.Sprintf("dist/file-%d.bin", i), Blob: id.SHA256})
	}
	if isOCI(n) {
		for i := range d.Files {
			d.Files[i].Path = "blobs/sha256/" + d.Files[i].Blob.Hex()
		}
		slices.SortFunc(d.Files, func(a, b registry.File) int { return cmp.Compare(a.Path, b.Path) })
	}
	all = append(all, d)
	switch {
	case o.isOpen(n):
		all = append(all, registry.BlobLeased{Blob: last, Producer: k.Producer, RetentionClass: "release", Until: registry.Forever})
	case !isOCI(n):
		all = append(all, registry.PackageSealed{Package: k, Manifest: last, Revision: 1})
	}
	return all
}

// bigFiles are some of the files of the package of many files.
func (o options) bigFiles(from, to int) (all []registry.Data) {
	for n := from; n < min(to, o.packages); n++ {
		all = append(all, registry.PackageFileAdded{Package: bigKey, Path: fmt.Sprintf("tree/%03d/%06d", n/1000, n), Blob: o.own(n)[0].SHA256})
	}
	return all
}
