package registrytest

import (
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"testing"

	"artifactstore/registry"
)

// session returns a new upload session.
func session(n int) registry.Upload {
	return registry.Upload{
		ID: fmt.Sprintf("session-%d", n), Principal: "ci", Repository: "team/app", BackendID: "local",
		Hash: []byte{0, 1, 2, 255}, ExpiresAt: day(n),
	}
}

func mustCreate(t *testing.T, r registry.Registry, u registry.Upload) registry.Upload {
	t.Helper()
	if err := r.CreateUpload(t.Context(), u); err != nil {
		t.Fatalf("CreateUpload: %v", err)
	}
	u.Version = 1
	return u
}

func wantUpload(t *testing.T, r registry.Registry, want registry.Upload) {
	t.Helper()
	got, err := r.Upload(t.Context(), want.ID)
	if err != nil {
		t.Fatalf("Upload: %v", err)
	}
	diff(t, "Upload", got, want)
}

func testUploads(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	_, err := r.Upload(t.Context(), "session-1")
	wantError(t, "unknown session", err, fs.ErrNotExist)
	u := mustCreate(t, r, session(1))
	wantUpload(t, other, u)
	wantError(t, "taken ID", other.CreateUpload(t.Context(), session(1)), registry.ErrConflict)
	wantUpload(t, r, u)
	mustCreate(t, other, session(2))
	if n := totals(t, r).Uploads; n != 2 {
		t.Errorf("%d open uploads, want 2", n)
	}
	if err := r.DeleteUpload(t.Context(), "session-1", 1); err != nil {
		t.Errorf("DeleteUpload: %v", err)
	}
	_, err = other.Upload(t.Context(), "session-1")
	wantError(t, "deleted session", err, fs.ErrNotExist)
	want := registry.Totals{Uploads: 1}
	diff(t, "Totals", totals(t, r), want)
	diff(t, "log", records(t, r, 0), []registry.Record{})
	mustCreate(t, r, session(1)) // the ID is free again
}

func testUploadVersions(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	u := mustCreate(t, r, session(1))
	next := u
	next.Offset, next.BackendID = 1<<40, "far"
	next.Hash, next.State, next.ExpiresAt = []byte("hash\x00"), []byte("state\x00\xff"), day(7)
	saved, err := other.SaveUpload(t.Context(), next)
	if err != nil {
		t.Fatalf("SaveUpload: %v", err)
	}
	next.Version = 2
	diff(t, "saved", saved, next)
	wantUpload(t, r, next)

	for _, version := range []int64{0, 1, 3} {
		stale := u
		stale.Version = version
		_, err := r.SaveUpload(t.Context(), stale)
		wantError(t, "save of another version", err, registry.ErrConflict)
		wantError(t, "delete of another version", r.DeleteUpload(t.Context(), u.ID, version), registry.ErrConflict)
	}
	wantUpload(t, other, next)
	_, err = r.SaveUpload(t.Context(), session(9))
	wantError(t, "save of an unknown session", err, fs.ErrNotExist)
	wantError(t, "delete of an unknown session", r.DeleteUpload(t.Context(), "session-9", 1), fs.ErrNotExist)

	finished := next
	finished.Finished, finished.Hash, finished.State = blob(1), nil, nil
	if _, err := r.SaveUpload(t.Context(), finished); err != nil {
		t.Fatalf("SaveUpload: %v", err)
	}
	finished.Version = 3
	wantUpload(t, other, finished)
	if n := totals(t, other).Uploads; n != 0 {
		t.Errorf("%d open uploads beside a finished one, want 0", n)
	}
	if err := r.DeleteUpload(t.Context(), u.ID, 3); err != nil {
		t.Errorf("DeleteUpload: %v", err)
	}
	wantError(t, "delete twice", r.DeleteUpload(t.Context(), u.ID, 3), fs.ErrNotExist)
}

func testUploadSavedAtOnce(t *testing.T, db *database) {
	handles := []registry.Registry{db.open(), db.open()}
	u := mustCreate(t, handles[0], session(1))
	for range 6 {
		var winner atomic.Pointer[registry.Upload]
		together(8, func(i int) {
			mine := u
			mine.Offset += int64(1 + i)
			saved, err := handles[i%2].SaveUpload(t.Context(), mine)
			if err != nil {
				wantError(t, "save beside another", err, registry.ErrConflict)
				return
			}
			if !winner.CompareAndSwap(nil, &saved) {
				t.Error("two saves of one version succeed")
			}
		})
		if winner.Load() == nil {
			t.Fatal("no save succeeds")
		}
		u.Version++
		u.Offset = winner.Load().Offset
		diff(t, "saved", *winner.Load(), u)
		wantUpload(t, handles[1], u)
	}
}

func testExpiredUploads(t *testing.T, db *database) {
	r := db.open()
	var all []registry.Upload
	for n := 1; n <= 6; n++ {
		all = append(all, session(n))
	}
	for _, n := range []int{3, 0, 5, 1, 4, 2} { // not in the order of expiry
		all[n] = mustCreate(t, r, all[n])
	}
	for _, c := range []struct{ before, limit, want int }{
		{1, 9, 0}, {2, 9, 1}, {4, 9, 3}, {4, 2, 2}, {9, 9, 6}, {9, 0, 0},
	} {
		got, err := r.ExpiredUploads(t.Context(), day(c.before), c.limit)
		if err != nil {
			t.Fatalf("ExpiredUploads: %v", err)
		}
		diff(t, fmt.Sprintf("%d that expire before day %d", c.limit, c.before), got, all[:c.want])
	}
}

func testFinishedUploads(t *testing.T, db *database) {
	r, other := db.open(), db.open()
	var of1 []registry.Upload
	for _, n := range []int{3, 1, 4, 2, 5} {
		u := mustCreate(t, r, session(n))
		switch n {
		case 4: // stays open
			continue
		case 5:
			u.Finished = blob(2)
		default:
			u.Finished = blob(1)
		}
		saved, err := r.SaveUpload(t.Context(), u)
		if err != nil {
			t.Fatalf("SaveUpload: %v", err)
		}
		if n != 5 {
			of1 = append(of1, saved)
		}
	}
	slices.SortFunc(of1, func(a, b registry.Upload) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	for limit := range len(of1) + 2 {
		got, err := other.FinishedUploads(t.Context(), blob(1), limit)
		if err != nil {
			t.Fatalf("FinishedUploads: %v", err)
		}
		diff(t, fmt.Sprintf("%d uploads that became a blob", limit), got, of1[:min(limit, len(of1))])
	}
	if got, err := other.FinishedUploads(t.Context(), blob(3), 9); err != nil || len(got) != 0 {
		t.Errorf("uploads of a blob that none became: %v, %v", got, err)
	}
}
