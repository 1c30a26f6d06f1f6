// Package artifactstore_test holds the rules of the house: what may import
// what, which words belong in which room, what every package must say. Each rule
// states its reason, so that who breaks it can decide whether the rule or the
// change is wrong.
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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "artifactstore"

// arrows says which rooms of the house a room may import. A room is a folder
// with all below it, unless a deeper one has a line of its own. What is not
// listed is forbidden.
var arrows = []struct {
	room   string
	may    []string
	reason string
}{
	{"cas/digest", nil, "digests are a leaf: everything else stands on them"},
	{"cas/manifest", []string{"cas/digest"}, "manifests are a leaf: bytes and names, no I/O"},
	{"cas", []string{"cas/digest", "cas/manifest", "registry", "backends"}, "the engine drives two leaves by their interfaces, and must not know which database or storage they are"},
	{"registry", []string{"cas/digest", "registry"}, "the registry knows what is stored, never where bytes are or who asks"},
	{"backends", []string{"backends"}, "a backend keeps opaque keys and bytes: it knows neither digests nor packages"},
	{"gateway", []string{"gateway", "cas", "cas/digest", "cas/manifest"}, "HTTP speaks to the engine only: what is true of the store is decided in one place"},
	{"gateway/client", []string{"cas/digest", "cas/manifest"}, "the client sees what any client of the network sees, and can check it"},
	{"cmd/config", nil, "configuration is data: it opens nothing"},
	{"cmd", []string{"cmd", "gateway", "cas", "cas/digest", "cas/manifest", "registry", "backends"}, "cmd alone opens concrete registries and backends"},
	{"deploy", []string{"gateway", "cas", "cas/digest", "registry", "backends"}, "benchmarks and drills use the house as it is"},
	{"testdata", nil, "test data imports nothing"},
}

func TestArrows(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports {
			target, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			i := room(f.dir)
			if i < 0 {
				t.Errorf("%s is in no room of the house: add a line to arrows, with a reason", f.name)
				continue
			}
			if rule := arrows[i]; !slices.ContainsFunc(rule.may, func(m string) bool { return allows(m, target) }) && !within(target, rule.room) {
				t.Errorf("%s imports %s: %s may import %v only: %s", f.name, target, rule.room, rule.may, rule.reason)
			}
		}
	}
}

// allows reports whether an arrow to room m reaches a package: the engine's
// leaves are rooms of their own, whose arrows are named.
func allows(m, pkg string) bool {
	if m == "cas" {
		return pkg == "cas"
	}
	return within(pkg, m)
}

func within(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

// room returns the index of the deepest room that holds a folder.
func room(dir string) int {
	best := -1
	for i, a := range arrows {
		if within(dir, a.room) && (best < 0 || len(a.room) > len(arrows[best].room)) {
			best = i
		}
	}
	return best
}

// oneImporter names the libraries that have one room, so that replacing one is a
// change of one room. Tests may use any.
var oneImporter = map[string][]string{
	"github.com/aws/aws-sdk-go-v2":        {"backends/s3"},
	"github.com/jackc/pgx":                {"registry/postgres"},
	"modernc.org/sqlite":                  {"registry/sqlite"},
	"github.com/fxamacker/cbor":           {"cas/manifest", "registry"},
	"lukechampine.com/blake3":             {"cas/digest"},
	"github.com/gorilla/mux":              {"gateway"},
	"github.com/prometheus/client_golang": {"gateway/ops", "cmd"},
	"github.com/spf13/cobra":              {"cmd"},
	"github.com/goccy/go-yaml":            {"cmd/config"},
	"github.com/vbauerster/mpb":           {"cmd"},
	"github.com/dunglas/httpsfv":          {"gateway/plain", "gateway/client"},
	"github.com/go-jose/go-jose":          {"gateway/auth"},
	"github.com/coreos/go-oidc":           {"gateway/auth"},
	"golang.org/x/crypto":                 {"gateway/auth"},
}

func TestOneImporter(t *testing.T) {
	for _, f := range sources(t) {
		for _, imported := range f.imports {
			for lib, rooms := range oneImporter {
				if within(imported, lib) && !slices.ContainsFunc(rooms, func(r string) bool { return within(f.dir, r) }) {
					t.Errorf("%s imports %s, which belongs to %v alone", f.name, imported, rooms)
				}
			}
		}
	}
}

func TestLeavesDoNoIO(t *testing.T) {
	for _, f := range sources(t) {
		if !within(f.dir, "cas/digest") && !within(f.dir, "cas/manifest") {
			continue
		}
		for _, bad := range []string{"os", "net", "net/http", "log/slog", "context"} {
			if slices.Contains(f.imports, bad) {
				t.Errorf("%s imports %s: a leaf does no I/O", f.name, bad)
			}
		}
	}
}

func TestBackendsUseStandardLibrary(t *testing.T) {
	for _, f := range sources(t) {
		if !within(f.dir, "backends") || within(f.dir, "backends/s3") {
			continue
		}
		for _, imported := range f.imports {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				t.Errorf("%s imports %s: the storage SPI stands on the standard library only", f.name, imported)
			}
		}
	}
}

// s3Words are words of one kind of backend. Going from local disk to an object
// store is a change of configuration only, so they stand where that backend is,
// where it is deployed and documented, and in the opener.
var s3Words = regexp.MustCompile(`(?i)\b(s3|bucket|multipart|uploadpart|storage_?class|sse)\b`)

// notS3 are HTTP's own uses of the same words: multipart media types and
// server-sent events.
var notS3 = regexp.MustCompile(`(?i)mime/multipart|multipart/byteranges|multipart/form-data|server-sent|\basSSE\b`)

func TestS3Vocabulary(t *testing.T) {
	for _, f := range sources(t) {
		if within(f.dir, "backends/s3") || within(f.dir, "deploy") || within(f.dir, "cmd") {
			continue
		}
		text, err := os.ReadFile(f.name)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(text), "\n") {
			if s3Words.MatchString(line) && !notS3.MatchString(line) {
				t.Errorf("%s:%d: a word of one backend above the backend layer: %s", f.name, n+1, strings.TrimSpace(line))
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	said := map[string]bool{}
	for _, f := range sources(t) {
		said[f.dir] = said[f.dir] || f.comment
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("package in %s has no package comment: say what the room is for", dir)
		}
	}
}

func TestExportedDocComments(t *testing.T) {
	for _, f := range sources(t) {
		for _, name := range f.undocumented {
			t.Errorf("%s: %s is exported and has no doc comment", f.name, name)
		}
	}
}

func TestModTidy(t *testing.T) {
	if out, err := exec.Command("go", "mod", "tidy", "-diff").CombinedOutput(); err != nil {
		t.Errorf("go mod tidy would change something: %v\n%s", err, out)
	}
}

// source is one Go file that is not a test.
type source struct {
	name         string // path from the root, with slashes
	dir          string
	imports      []string
	comment      bool     // it has a package comment
	undocumented []string // exported names without a doc comment
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name != "." && strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			all = append(all, parse(t, filepath.ToSlash(name)))
		}
		return nil
	})
	if err != nil || len(all) < 10 {
		t.Fatalf("found %d source files: %v", len(all), err)
	}
	return all
}

func parse(t *testing.T, name string) source {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	s := source{name: name, dir: path.Dir(name), comment: file.Doc != nil && len(strings.TrimSpace(file.Doc.Text())) > 40}
	for _, i := range file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		s.imports = append(s.imports, p)
	}
	if file.Name.Name != "main" {
		s.undocumented = undocumented(file)
	}
	return s
}

// undocumented returns exported functions, methods of exported types, and types
// without a doc comment. A method that only implements a well-known interface
// may go without where the line above or the group explains it.
func undocumented(file *ast.File) []string {
	var names []string
	grouped := false // the function before it stands on the line above and has a comment
	var end token.Pos
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			adjacent := grouped && d.Pos() == end+1
			ok := !d.Name.IsExported() || d.Doc != nil || adjacent || !exportedReceiver(d)
			if !ok {
				names = append(names, d.Name.Name)
			}
			grouped, end = (d.Doc != nil || adjacent), d.End()
		case *ast.GenDecl:
			grouped = false
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && ts.Doc == nil && d.Doc == nil {
					names = append(names, ts.Name.Name)
				}
			}
		}
	}
	return names
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}
