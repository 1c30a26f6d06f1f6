package sqlite

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// TestPages: lists are longer than what is read at once, by a row and by pages,
// and a blob at the border of a page has all its locations.
func TestPages(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	for blobs := uint64(0); blobs <= 2*page+1; {
		if blobs == page || blobs == page+1 || blobs == 2*page+1 {
			wantPages(t, r, blobs)
		}
		add := min(page/2, 2*page+2-blobs)
		if blobs == page {
			add = 1
		}
		var events []registry.Event
		for range add {
			second := registry.LocationRecorded{Blob: blob(blobs).SHA256, BackendID: "archive"}
			events = append(append(events, put(blobs)...), registry.Event{Actor: "ops", Data: second})
			blobs++
		}
		mustAppend(t, r, events...)
	}
	wantPages(t, r, 2*page+2)
}

func wantPages(t *testing.T, r *Registry, blobs uint64) {
	t.Helper()
	next := uint64(1)
	for record, err := range r.Since(t.Context(), 0) {
		if err != nil || record.Position != next {
			t.Fatalf("event %d comes where %d must: %v", record.Position, next, err)
		}
		next++
	}
	if next != 4*blobs+1 {
		t.Errorf("the log of %d blobs has %d events", blobs, next-1)
	}
	var want, got []string
	for n := range blobs {
		want = append(want, blob(n).SHA256.String())
	}
	slices.Sort(want)
	for b, err := range r.Blobs(t.Context(), digest.Digest{}) {
		if err != nil || len(b.Locations) != 2 || b.Locations[0].BackendID != "local" {
			t.Fatalf("blob %s: %+v, %v", b.SHA256, b.Locations, err)
		}
		if got = append(got, b.SHA256.String()); len(got) > len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d blobs of %d, or in another order", len(got), len(want))
	}
}

// TestCloseWaitsForReads: a read that was let in ends before its connection does.
func TestCloseWaitsForReads(t *testing.T) {
	r, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "registry.db")})
	if err != nil {
		t.Fatal(err)
	}
	inside, closed := make(chan struct{}), make(chan error)
	var read atomic.Bool
	go func() {
		err := r.read(context.Background(), func(c *conn) error {
			close(inside)
			<-r.gate.closing
			// Long enough for a Close that does not wait to be seen.
			for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
				if _, _, err := readHead(c); err != nil {
					return err
				}
			}
			read.Store(true)
			return nil
		})
		closed <- err
	}()
	<-inside
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if !read.Load() {
		t.Error("Close returned before a read did")
	}
	if err := <-closed; err != nil {
		t.Errorf("the read: %v", err)
	}
}

// TestStateColumns: no state and an empty one are told apart.
func TestStateColumns(t *testing.T) {
	r := open(t, filepath.Join(t.TempDir(), "registry.db"))
	u := registry.Upload{ID: "u", Hash: []byte{}, State: bytes.Repeat([]byte{7}, 40_000)}
	if err := r.CreateUpload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	got, err := r.Upload(t.Context(), "u")
	if err != nil || got.Hash == nil || len(got.Hash) != 0 || !bytes.Equal(got.State, u.State) {
		t.Errorf("states of %d and %d bytes: %v, %d bytes, %v", 0, 40_000, got.Hash, len(got.State), err)
	}
	got.Hash, got.State = nil, nil
	if got, err = r.SaveUpload(t.Context(), got); err != nil || got.Hash != nil || got.State != nil {
		t.Errorf("no states: %v, %v, %v", got.Hash, got.State, err)
	}
}
