package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"artifactstore/backends/s3/s3test"
)

func (b *s3Bench) transfers(t *table) error {
	turns, err := b.uploads(t, b.bareUpload, b.post, b.put)
	if err != nil {
		return err
	}
	t.row("upload, digest unknown: gateway / SDK", "GiB", 0.85, turns[1], turns[0])
	t.row("upload, digest known: gateway / SDK", "GiB", 0.85, turns[2], turns[0])
	if turns, err = t.turns("download", b.bareGet, b.get); err != nil {
		return err
	}
	t.row("download: gateway / SDK", "GiB", 0.9, turns[1], turns[0])
	return b.copies(t)
}

// uploads measures sides in each round, the order changing.
func (b *s3Bench) uploads(t *table, sides ...func() (turn, string, error)) ([][]turn, error) {
	turns := make([][]turn, len(sides))
	for round := range t.rounds {
		var keys []string
		for i := range sides {
			k := (i + round) % len(sides)
			one, key, err := sides[k]()
			if err != nil {
				return nil, fmt.Errorf("upload: %w", err)
			}
			turns[k], keys = append(turns[k], one), append(keys, key)
		}
		if round == t.rounds-1 { // keep one to download
			keys = slices.DeleteFunc(keys, func(k string) bool { return k == b.key })
		}
		if err := b.forget(keys...); err != nil {
			return nil, err
		}
	}
	return turns, nil
}

func (b *s3Bench) gib() float64 { return float64(b.w.o.size) / (1 << 30) }

func (b *s3Bench) bareUpload() (turn, string, error) { return b.uploadBy(b.bare) }

func (b *s3Bench) uploadBy(sdk *s3test.Bare) (turn, string, error) {
	b.serial++
	key := fmt.Sprintf("bare/%d", b.serial)
	first := b.w.unique(slices.Clone(b.w.random[:64]))
	t, err := own(func() (float64, error) {
		return b.gib(), sdk.Upload(context.Background(), key, first, b.w.random, b.w.o.size)
	})
	return t, key, err
}

func (b *s3Bench) post() (turn, string, error) {
	t, err := b.w.upload(b.gateway)
	b.path = b.w.large[b.gateway]
	b.key = keyOf("bench", strings.TrimPrefix(b.path, "/v1/blobs/sha256:"))
	return t, b.key, err
}

// put sends content whose digest is known, as the producer of the query.
func (b *s3Bench) put() (turn, string, error) { return b.putAs("") }

func (b *s3Bench) putAs(query string) (turn, string, error) {
	first := b.w.unique(slices.Clone(b.w.random[:64]))
	sum := b.sum(first)
	c, err := dial(b.gateway.address)
	if err != nil {
		return turn{}, "", err
	}
	defer c.Close()
	t, err := timed(b.gateway, func() (float64, error) {
		a, err := c.upload("PUT", "/v1/blobs/sha256:"+sum+query, "", first, b.w.random, b.w.o.size)
		if err == nil && a.status != 201 {
			err = fmt.Errorf("status %d", a.status)
		}
		return b.gib(), err
	})
	return t, keyOf("bench", sum), err
}

// sum returns the SHA-256 of a large blob.
func (b *s3Bench) sum(first []byte) string {
	h := sha256.New()
	h.Write(first)
	for left := b.w.o.size - int64(len(first)); left > 0; {
		n, _ := h.Write(b.w.random[:min(int64(len(b.w.random)), left)])
		left -= int64(n)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func keyOf(prefix, sum string) string {
	return prefix + "/sha256/" + sum[:2] + "/" + sum[2:4] + "/" + sum
}

func (b *s3Bench) get() (turn, error) { return b.w.download(b.gateway) }

func (b *s3Bench) bareGet() (turn, error) { return b.getBy(b.bare) }

func (b *s3Bench) getBy(sdk *s3test.Bare) (turn, error) {
	return own(func() (float64, error) {
		for range downloads {
			if n, err := sdk.Download(context.Background(), b.key); err != nil || n != b.w.o.size {
				return 0, fmt.Errorf("%d bytes: %w", n, err)
			}
		}
		return downloads * b.gib(), nil
	})
}

// own runs f and says what it cost this process.
func own(f func() (work float64, err error)) (turn, error) {
	before, start := ownCPU(), time.Now()
	work, err := f()
	return turn{work, time.Since(start), ownCPU() - before}, err
}

// copies sends content with a known digest through the recorder and shows what
// the service was asked.
func (b *s3Bench) copies(t *table) error {
	b.recorder.Recorded()
	_, _, err := b.putAs("?producer=watched")
	if err != nil {
		return err
	}
	counts := map[string]int{}
	for _, call := range b.recorder.Recorded() {
		counts[call]++
	}
	copies := counts["CopyObject"] + counts["UploadPartCopy"]
	t.fact("calls of an upload, digest known", fmt.Sprint(counts)[len("map"):], "no copy", copies == 0 && counts["UploadPart"] > 0)
	return nil
}
