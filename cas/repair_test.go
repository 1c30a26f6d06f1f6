package cas_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"artifactstore/cas"
	shapes "artifactstore/deploy/house"
	"artifactstore/registry"
)

// twoCopies opens a house with backends a and b and puts contents on both.
func twoCopies(t *testing.T, at shapes.House, n int) (*house, [][]byte) {
	h := open(t, options{at: at, sleep: func(time.Duration) {}, backends: []string{"a", "b"}, rules: []cas.Rule{{RetentionClass: "release", BackendID: "b"}}})
	all := contents(n)
	for _, c := range all {
		h.mustPut(c)
		h.mustPut(c, func(o *cas.PutOptions) { o.RetentionClass = "release" })
	}
	return h, all
}

// Verification with repair mends what has another copy, from that copy, and says
// so; what has none is a failure that stays, and is listed with who needs it.
func TestVerifyRepairs(t *testing.T) { everyHouse(t, verifyRepairs) }

func verifyRepairs(t *testing.T, at shapes.House) {
	h, all := twoCopies(t, at, 6)
	lonely := random(9, 5000)
	h.mustPut(lonely)
	all = append(all, lonely)
	h.replace("a", all[1], flipped(all[1], 0))
	h.replace("a", all[7], flipped(all[7], 600_000))
	h.remove("a", all[2])
	h.replace("a", all[3], all[3][:5])
	h.remove("a", lonely)
	before := h.position()
	v := h.verify(cas.VerifyOptions{Repair: true})
	want := []string{
		"failed 1 on a: mismatch", "failed 2 on a: missing", "failed 3 on a: truncated", "failed 7 on a: mismatch", "failed 8 on a: missing",
		"repaired 1 on a: backend:b", "repaired 2 on a: backend:b", "repaired 3 on a: backend:b", "repaired 7 on a: backend:b",
	}
	said := slices.DeleteFunc(h.said(before, all), func(s string) bool { return strings.HasPrefix(s, "verified") })
	if diff := cmp.Diff(want, said); diff != "" || v.Failed() != 5 || v.Repaired != 4 {
		t.Errorf("%s: %+v", diff, v)
	}
	if v := h.verify(cas.VerifyOptions{}); v.Failed() != 1 || v.Results[cas.Missing] != 1 {
		t.Errorf("a second pass: %+v", v)
	}
	var left []cas.Repair
	n, err := h.store.Repair(t.Context(), cas.RepairOptions{Each: func(r cas.Repair) { left = append(left, r) }})
	if err != nil || n != (cas.Repairs{Left: 1}) || left[0].Blob != identity(lonely).SHA256 || left[0].Reason != "missing" || left[0].Error == "" || left[0].LeasedUntil.IsZero() {
		t.Errorf("%+v, %v: %+v", n, err, left)
	}
	h.mustPut(lonely)
	if n, err := h.store.Repair(t.Context(), cas.RepairOptions{}); err != nil || n != (cas.Repairs{}) {
		t.Errorf("after the push: %+v %v", n, err)
	}
	for _, c := range all {
		h.mustRead(c)
	}
	h.audit()
}

// A copy that is wrong itself replaces nothing and is found out.
func TestRepairFromWrongCopy(t *testing.T) { everyHouse(t, repairFromWrongCopy) }

func repairFromWrongCopy(t *testing.T, at shapes.House) {
	h, all := twoCopies(t, at, 4)
	for i, spoil := range []func(string, []byte){
		func(id string, c []byte) { h.replace(id, c, flipped(c, 3)) },
		h.remove,
		func(id string, c []byte) { h.replace(id, c, c[:1]) },
	} {
		h.remove("a", all[i+1])
		spoil("b", all[i+1])
	}
	h.verify(cas.VerifyOptions{})
	before := h.position()
	n, err := h.store.Repair(t.Context(), cas.RepairOptions{Backend: "a"})
	want := []string{"failed 1 on b: mismatch", "failed 2 on b: missing", "failed 3 on b: truncated"}
	if diff := cmp.Diff(want, h.said(before, all)); diff != "" || err != nil || n.Left != 3 {
		t.Errorf("%s: %+v %v", diff, n, err)
	}
	for i := range 3 {
		if _, err := h.read(identity(all[i+1]).SHA256); !errors.Is(err, cas.ErrBlobUnavailable) {
			t.Errorf("blob %d: %v", i+1, err)
		}
	}
}

// Repair without another copy finds what is there again; a file that is handed
// over mends every failed location of its blob, and only its own.
func TestRepair(t *testing.T) { everyHouse(t, repairs) }

func repairs(t *testing.T, at shapes.House) {
	h, all := twoCopies(t, at, 5)
	for _, id := range []string{"a", "b"} {
		h.remove(id, all[1])
		h.remove(id, all[2])
		h.verify(cas.VerifyOptions{Backend: id})
	}
	h.replace("b", all[2], all[2])
	before := h.position()
	if n, err := h.store.Repair(t.Context(), cas.RepairOptions{Backend: "b"}); err != nil || n != (cas.Repairs{Repaired: 1, Left: 1}) {
		t.Errorf("%+v %v", n, err)
	}
	if n, err := h.store.Repair(t.Context(), cas.RepairOptions{}); err != nil || n != (cas.Repairs{Repaired: 1, Left: 2}) {
		t.Errorf("%+v %v", n, err)
	}
	name := filepath.Join(t.TempDir(), "handed-over\n.tar")
	if err := os.WriteFile(name, all[1], 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	done, err := h.store.RepairFrom(t.Context(), file, filepath.Base(name), "", "operator")
	if err != nil || len(done) != 2 {
		t.Errorf("%+v %v", done, err)
	}
	want := []string{"repaired 1 on a: file:handed-over?.tar", "repaired 1 on b: file:handed-over?.tar", "repaired 2 on a: backend:b", "repaired 2 on b: verification"}
	if diff := cmp.Diff(want, h.said(before, all)); diff != "" {
		t.Error(diff)
	}
	if done, err := h.store.RepairFrom(t.Context(), file, "x", "", ""); err != nil || len(done) != 0 {
		t.Errorf("nothing to mend: %+v %v", done, err)
	}
	if _, err := h.store.RepairFrom(t.Context(), bytes.NewReader([]byte("unknown")), "x", "", ""); !errors.Is(err, cas.ErrBlobUnknown) {
		t.Errorf("an unknown file: %v", err)
	}
	h.mustRead(all[1])
	h.audit()
}

// What packages need is said by their names.
func TestRepairSaysWhoNeedsIt(t *testing.T) {
	h := open(t, options{sleep: func(time.Duration) {}})
	content := random(1, 1000)
	s := h.mustPut(content)
	k := registry.PackageKey{Producer: "ann", Name: "tool", Version: "1.0"}
	h.append(registry.PackageCreated{Package: k, Format: registry.FormatFiles, RetentionClass: "standard"})
	h.append(registry.PackageFileAdded{Package: k, Path: "bin/tool", Blob: s.SHA256})
	h.remove("a", content)
	h.verify(cas.VerifyOptions{})
	var left []cas.Repair
	if _, err := h.store.Repair(t.Context(), cas.RepairOptions{Each: func(r cas.Repair) { left = append(left, r) }}); err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || !slices.Equal(left[0].Packages, []string{k.String()}) {
		t.Errorf("%+v", left)
	}
}
