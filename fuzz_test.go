package artifactstore_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A parser is fuzzed with inputs that were hard once, which everybody has: each
// target has a corpus in the tree, and no corpus outlives its target.
func TestFuzzCorpora(t *testing.T) {
	targets := fuzzTargets(t)
	for _, target := range targets {
		dir, name, _ := strings.Cut(target, " ")
		if list, err := os.ReadDir(filepath.Join(dir, "testdata", "fuzz", name)); err != nil || len(list) == 0 {
			t.Errorf("%s in %s has no corpus in testdata/fuzz/%s: commit the inputs that it must not forget", name, dir, name)
		}
	}
	var corpora []string
	for _, pattern := range []string{"*/testdata/fuzz/*", "*/*/testdata/fuzz/*", "*/*/*/testdata/fuzz/*"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		corpora = append(corpora, some...)
	}
	for _, corpus := range corpora {
		dir, name, _ := strings.Cut(filepath.ToSlash(corpus), "/testdata/fuzz/")
		if !slices.Contains(targets, dir+" "+name) {
			t.Errorf("%s belongs to no fuzz target", corpus)
		}
	}
}

// "make fuzz" forgets no target.
func TestMakeFuzzKnowsAll(t *testing.T) {
	out, err := exec.Command("make", "-s", "--no-print-directory", "fuzz-list").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Fields(string(out)), strings.Fields(strings.Join(fuzzTargets(t), " ")); !slices.Equal(got, want) {
		t.Errorf("make fuzz-list:\n%q, want\n%q", got, want)
	}
}

// fuzzTargets are the fuzz targets of the tree as "folder name", in order.
func fuzzTargets(t *testing.T) (all []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Fuzz") {
				all = append(all, path.Dir(filepath.ToSlash(name))+" "+f.Name.Name)
			}
		}
		return nil
	})
	if err != nil || len(all) < 20 {
		t.Fatalf("%d fuzz targets: %v", len(all), err)
	}
	slices.Sort(all)
	return all
}
