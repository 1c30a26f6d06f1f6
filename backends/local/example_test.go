package local_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"artifactstore/backends"
	"artifactstore/backends/local"
)

// One put and one read. docs/durability.md shows the system calls of this example.
func Example() {
	ctx := context.Background()
	root, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(root)
	b, err := local.Open(ctx, local.Options{Root: root})
	if err != nil {
		log.Fatal(err)
	}
	u, err := b.Begin(ctx, backends.Hint{Size: -1})
	if err != nil {
		log.Fatal(err)
	}
	defer u.Abort(ctx)
	if _, err := io.WriteString(u, "hello\n"); err != nil {
		log.Fatal(err)
	}
	if err := u.Commit(ctx, "sha256/58/91/5891b5b5"); err != nil {
		log.Fatal(err)
	}
	r, err := b.Open(ctx, "sha256/58/91/5891b5b5", 0, -1)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	fmt.Printf("%q %v\n", p, err)
	// Output: "hello\n" <nil>
}
