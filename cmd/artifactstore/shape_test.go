package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"artifactstore/backends/s3/s3test"
	"artifactstore/registry/postgres/pgtest"
)

// shape writes a configuration for PostgreSQL and a bucket beside a local
// backend, every secret in a file, and returns its directory.
func shape(t *testing.T, server s3test.Server, url string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"url": url + "\n", "access": server.AccessKey + "\n", "secret": server.SecretKey + "\n",
		"artifactstore.yaml": fmt.Sprintf(`listen: 127.0.0.1:0
registry: {url_ref: file:%[1]s/url}
backends:
  - {id: disk, type: local, root: blobs}
  - id: bucket
    type: s3
    endpoint_url: %[2]s
    region: %[3]s
    bucket: %[4]s
    key_prefix: %[5]s
    access_key_ref: file:%[1]s/access
    secret_key_ref: file:%[1]s/secret
    multipart_threshold_bytes: 8388608
    multipart_chunk_bytes: 5242880
routing:
  default: disk
  rules: [{retention_class: release, producer: "ci-*", backend: bucket}]
`, dir, server.EndpointURL, server.Region, server.Bucket, s3test.Prefix()),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// call runs the command in a directory and returns its exit status and all it
// prints.
func call(t *testing.T, dir, url string, args ...string) (status int, out string) {
	t.Helper()
	cmd := exec.Command(command(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ARTIFACTSTORE_SERVER="+url)
	text, err := cmd.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode(), string(text)
	} else if err != nil {
		t.Fatal(err)
	}
	return 0, string(text)
}

// TestOtherShape runs the commands that work on a local directory and SQLite on
// a bucket and PostgreSQL: only the configuration is another.
func TestOtherShape(t *testing.T) {
	dir := shape(t, s3test.Fake(t), pgtest.New(t))
	content := make([]byte, 13<<20)
	rand.NewChaCha8([32]byte{1}).Read(content)
	for name, part := range map[string][]byte{"large": content, "small": content[:1000]} {
		if err := os.WriteFile(filepath.Join(dir, name), part, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, command(t), dir, "ARTIFACTSTORE_CONFIG=artifactstore.yaml")
	for name, backend := range map[string]string{"large": "bucket", "small": "bucket"} {
		status, out := call(t, dir, s.url, "put", "--producer", "ci-7", "--retention-class", "release", name)
		if status != 0 || !strings.Contains(out, "on "+backend) {
			t.Fatalf("put %s: status %d: %s", name, status, out)
		}
		digest := out[strings.Index(out, "sha256:"):]
		if status, out := call(t, dir, s.url, "get", strings.TrimSpace(digest[:71]), "-o", "back"); status != 0 {
			t.Fatalf("get %s: status %d: %s", name, status, out)
		}
		sent, _ := os.ReadFile(filepath.Join(dir, name))
		if got, err := os.ReadFile(filepath.Join(dir, "back")); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%s came back with %d bytes, %v", name, len(got), err)
		}
	}
	if _, out := call(t, dir, s.url, "put", "--retention-class", "release", "small"); !strings.Contains(out, "on disk") {
		t.Errorf("what no rule matches: %s", out)
	}
	for _, args := range [][]string{{"registry", "check"}, {"registry", "rebuild"}, {"registry", "migrate"}, {"config", "check", "--probe"}, {"config", "show"}} {
		status, out := call(t, dir, s.url, append(args, "--config", "artifactstore.yaml")...)
		if status != 0 {
			t.Errorf("%v: status %d: %s", args, status, out)
		}
	}
	secret, _ := os.ReadFile(filepath.Join(dir, "secret"))
	if strings.Contains(s.logged(), strings.TrimSpace(string(secret))) {
		t.Error("the log has the secret key")
	}
	if err := s.stop(); err != nil {
		t.Errorf("%v\n%s", err, s.logged())
	}
}

// TestMistakenShape demands that what a person must mend is refused at the
// start, with the reason, and that what may mend itself is not.
func TestMistakenShape(t *testing.T) {
	server, url := s3test.Fake(t), pgtest.New(t)
	for _, tt := range []struct {
		name, from, to string
		serves         bool
		want           string
	}{
		{"no such bucket", "bucket: " + server.Bucket + "\n", "bucket: missing\n", false, "bucket"},
		{"no key", "/access\n", "/none\n", false, "access_key_ref: open "},
		{"no url", "/url}", "/none}", false, "registry.url_ref: open "},
		{"nobody there", "endpoint_url: " + server.EndpointURL, "endpoint_url: http://127.0.0.1:1", true, "a backend does not work for now"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := shape(t, server, url)
			name := filepath.Join(dir, "artifactstore.yaml")
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(string(text), tt.from, tt.to, 1)
			if changed == string(text) {
				t.Fatalf("no %q in\n%s", tt.from, text)
			}
			if err := os.WriteFile(name, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := launch(command(t), dir, "ARTIFACTSTORE_CONFIG=artifactstore.yaml")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.kill)
			if err := s.wait(); (err == nil) != tt.serves || !strings.Contains(s.logged(), tt.want) {
				t.Errorf("serves: %v, want %v and %q in\n%s", err == nil, tt.serves, tt.want, s.logged())
			}
			if status, out := call(t, dir, "", "config", "check", "--probe", "--config", "artifactstore.yaml"); status != 1 || !strings.Contains(out, "FAILED") {
				t.Errorf("config check --probe: status %d: %s", status, out)
			}
		})
	}
}
