package local

import (
	"bytes"
	"io"
	"testing"

	"artifactstore/backends"
)

func TestSmoke(t *testing.T) {
	ctx := t.Context()
	b, err := Open(ctx, Options{Root: t.TempDir() + "/a/b", KeyPrefix: "p/q"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.Begin(ctx, backends.Hint{Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	u.Write([]byte("hello "))
	st, err := u.Suspend(ctx)
	if err != nil {
		t.Fatal(err)
	}
	u.Write([]byte("gone"))
	v, err := b.Resume(ctx, st)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Write([]byte("x")); err == nil {
		t.Error("fence")
	}
	v.Write([]byte("world"))
	if err := v.Commit(ctx, "format/x"); err != nil {
		t.Fatal(err)
	}
	r, err := b.Open(ctx, "format/x", 1, -1)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	io.Copy(&buf, r)
	t.Log(buf.String())
	for i, err := range b.List(ctx, "", "") {
		t.Log(i, err)
	}
	t.Log(b.Health(ctx))
}
