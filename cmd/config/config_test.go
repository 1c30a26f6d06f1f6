package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// same compares configurations field by field, durations by their words.
var same = cmp.AllowUnexported(Duration{})

// full is a configuration that says something of every key.
const full = `
listen: "[::1]:9000"
tls: {certificate_ref: file:/etc/tls/tls.crt, key_ref: file:/etc/tls/tls.key}
proxies: [10.0.0.0/8, "fd00::/8", 192.0.2.7]
registry: {url_ref: "env:REGISTRY_URL"}
backends:
  - {id: disk, type: local, root: /srv/blobs, key_prefix: a/b, verify_reads: true}
  - id: rgw
    type: s3
    endpoint_url: https://rgw.example.internal
    region: default
    bucket: artifacts
    key_prefix: prod
    access_key_ref: env:RGW_ACCESS_KEY
    secret_key_ref: file:/run/secrets/rgw_secret_key
    storage_class: STANDARD
    sse: aws:kms
    sse_kms_key_id: arn:aws:kms:eu-central-1:1:key/2
    multipart_threshold_bytes: 33554432
    multipart_chunk_bytes: 16777216
    path_style: false
    ca_file: ca.pem
    max_connections: 32
    max_attempts: 7
    verification: {every: 1w, bytes_per_second: 1000000, window: "22:00-06:00"}
routing:
  default: disk
  copies: [rgw]
  rules: [{retention_class: release, producer: "ci-*", backend: rgw, copies: [disk]}]
  copying: {every: 30s, bytes_per_second: 1000000}
retention:
  default: short
  classes: {short: 1w2d, release: forever}
  upload_grace: 2h
  collection: {every: 1m, grace: 30m, orphans_every: 1w, orphan_age: 3h, removal_wait: 90s}
debug: {listen: "localhost:6060"}
limits: {upload_bytes: 1099511627776, manifest_bytes: 1, buffered_bytes: 67108864, connections: 100, connections_per_address: 50, uploads_per_principal: 8, sessions_per_principal: 16, minimum_rate_bytes: 0, idle: 1m30s}
auth:
  mode: [tokens, htpasswd, oidc, certificates]
  anonymous: ["pull:public"]
  external_url: https://artifacts.example.org
  tokens: [{name: ci, token_sha256_ref: env:CI_TOKEN_SHA256, allow: ["push:ci-*", "pull:*"]}]
  htpasswd: {file: htpasswd, users: [{name: ann, allow: ["*:*"]}]}
  oidc:
    - issuer: https://ci.example.org
      audience: artifactstore
      principal_claim: repository
      ca_file: ca.pem
      rules: [{claims: {repository: "org/*", "https://x/y": z}, principal: ci-org, allow: ["push:org"]}]
  certificates: {ca_file: clients.pem, principals: [{name: "build-*", allow: ["push:*"]}]}
`

func TestDefaultsHold(t *testing.T) {
	c, err := Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), c, same); diff != "" {
		t.Errorf("without a file and variables (-default +loaded):\n%s", diff)
	}
	if c, err = load("f.yaml", "# nothing but a comment\n", nil); err != nil || c.Listen != "127.0.0.1:8080" {
		t.Errorf("an empty file: %+v, %v", c, err)
	}
}

func TestShowLoadsBack(t *testing.T) {
	for name, source := range map[string]string{
		"default": "",
		"full":    full,
		"s3 with defaults": `backends:
  - {id: aws, type: s3, region: eu-central-1, bucket: b-1, access_key_ref: env:A, secret_key_ref: env:B}
  - {id: own, type: s3, endpoint_url: "http://[::1]:7480", bucket: b-1, access_key_ref: env:A, secret_key_ref: env:B}
routing: {default: aws}`,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := load("f.yaml", source, nil)
			if err != nil {
				t.Fatal(err)
			}
			shown, err := c.YAML()
			if err != nil {
				t.Fatal(err)
			}
			back, err := load("shown.yaml", string(shown), nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, shown)
			}
			if diff := cmp.Diff(c, back, same); diff != "" {
				t.Errorf("shown and loaded (-before +after):\n%s\n%s", diff, shown)
			}
		})
	}
}

func TestEveryKeyIsRead(t *testing.T) {
	c, err := load("f.yaml", full, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Backend{
		ID: "rgw", Type: S3, KeyPrefix: "prod", EndpointURL: "https://rgw.example.internal", Region: "default",
		Bucket: "artifacts", AccessKeyRef: "env:RGW_ACCESS_KEY", SecretKeyRef: "file:/run/secrets/rgw_secret_key",
		StorageClass: "STANDARD", SSE: KMS, SSEKMSKeyID: "arn:aws:kms:eu-central-1:1:key/2",
		MultipartThresholdBytes: 32 << 20, MultipartChunkBytes: 16 << 20, CAFile: "ca.pem", MaxConnections: 32, MaxAttempts: 7,
		Verification: Verification{Interval{Duration{"1w", week}}, 1e6, Window{22 * time.Hour, 6 * time.Hour}},
	}
	if diff := cmp.Diff(want, c.Backends[1], same); diff != "" {
		t.Errorf("s3 backend (-want +got):\n%s", diff)
	}
	if c.Registry.URL != "" || c.Registry.URLRef != "env:REGISTRY_URL" {
		t.Errorf("the file's url_ref does not replace the default url: %+v", c.Registry)
	}
	if keep := c.Retention.Classes["short"]; keep.Length() != 9*day {
		t.Errorf("1w2d is %v", keep.Length())
	}
	if keep := c.Retention.Classes["release"]; keep.Length() >= 0 {
		t.Errorf("forever is %v", keep.Length())
	}
	if _, kept := c.Retention.Classes["standard"]; kept {
		t.Error("the file's classes do not replace the default ones")
	}
}

// An address has a quarter of the connections, rounded up, unless it is written.
func TestConnectionsPerAddress(t *testing.T) {
	for _, test := range []struct {
		file, variable string
		want           int64
	}{
		{"", "", 1024},
		{"limits: {connections: 101}", "", 26},
		{"limits: {connections: 1}", "", 1},
		{"limits: {connections: 0}", "", 0},
		{"limits: {connections: 100, connections_per_address: 0}", "", 0},
		{"limits: {connections: 100, connections_per_address: 100}", "", 100},
		{"limits: {connections: 0, connections_per_address: 7}", "", 7},
		{"", "ARTIFACTSTORE_LIMITS_CONNECTIONS=40", 10},
		{"limits: {connections: 100}", "ARTIFACTSTORE_LIMITS_CONNECTIONS_PER_ADDRESS=3", 3},
	} {
		c, err := load("f.yaml", test.file, []string{test.variable})
		if err != nil {
			t.Errorf("%s %s: %v", test.file, test.variable, err)
		} else if c.Limits.ConnectionsPerAddress != test.want {
			t.Errorf("%s %s: %d, want %d", test.file, test.variable, c.Limits.ConnectionsPerAddress, test.want)
		}
	}
	for _, n := range []string{"-8", "9223372036854775807"} {
		if _, err := load("f.yaml", "limits: {connections: "+n+"}", nil); err == nil || strings.Contains(err.Error(), "per_address") {
			t.Errorf("%s: %v", n, err)
		}
	}
}

// The keys of an s3 backend that are not written depend on what is.
func TestS3Defaults(t *testing.T) {
	c, err := load("f.yaml", `backends:
  - {id: aws, type: s3, region: eu-central-1, bucket: b-1, access_key_ref: env:A, secret_key_ref: env:B}
  - {id: own, type: s3, endpoint_url: "http://127.0.0.1:7480", bucket: b-1, access_key_ref: env:A, secret_key_ref: env:B}
routing: {default: aws}`, []string{"ARTIFACTSTORE_BACKENDS_1_MAX_ATTEMPTS=2"})
	if err != nil {
		t.Fatal(err)
	}
	aws, own := c.Backends[0], c.Backends[1]
	if aws.PathStyle || !own.PathStyle {
		t.Errorf("path_style is %v for AWS, %v for an endpoint", aws.PathStyle, own.PathStyle)
	}
	if own.Region != "us-east-1" || aws.Region != "eu-central-1" {
		t.Errorf("region is %q for an endpoint, %q for AWS", own.Region, aws.Region)
	}
	if aws.MultipartThresholdBytes != 16<<20 || aws.MultipartChunkBytes != 8<<20 || aws.MaxConnections != 256 || aws.MaxAttempts != 4 {
		t.Errorf("sizes and limits: %+v", aws)
	}
	if own.MaxAttempts != 2 {
		t.Errorf("a variable does not replace a default: max_attempts is %d", own.MaxAttempts)
	}
}

// The transfers' buffers and those of s3 backends are apart, and together what
// is configured.
func TestBuffers(t *testing.T) {
	if transfers, parts := Default().Buffers(); transfers != 256<<20 || parts != 0 {
		t.Errorf("without s3: %d and %d", transfers, parts)
	}
	c, err := load("f.yaml", full, nil)
	if err != nil {
		t.Fatal(err)
	}
	if transfers, parts := c.Buffers(); transfers != 16<<20 || parts != 48<<20 {
		t.Errorf("with s3 and 64 MiB: %d and %d", transfers, parts)
	}
}

func TestEnvironment(t *testing.T) {
	c, err := load("f.yaml", full, []string{
		"HOME=/root",
		"ARTIFACTSTORE_CONFIG=elsewhere.yaml",
		"ARTIFACTSTORE_TEST_ANYTHING=1",
		"ARTIFACTSTORE_LISTEN=127.0.0.1:1",
		"ARTIFACTSTORE_REGISTRY_URL=sqlite:/var/lib/r.db",
		"ARTIFACTSTORE_BACKENDS_0_ROOT=/mnt",
		"ARTIFACTSTORE_BACKENDS_1_PATH_STYLE=true",
		"ARTIFACTSTORE_ROUTING_RULES_0_PRODUCER=nightly",
		"ARTIFACTSTORE_RETENTION_CLASSES_SHORT=3d",
		"ARTIFACTSTORE_LIMITS_UPLOAD_BYTES=5",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Listen, c.Registry, c.Backends[0].Root, c.Backends[1].PathStyle, c.Routing.Rules[0].Producer,
		c.Retention.Classes["short"].Length(), c.Limits.UploadBytes}
	want := []any{"127.0.0.1:1", Registry{URL: "sqlite:/var/lib/r.db"}, "/mnt", true, "nightly", 3 * day, int64(5)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A registry's password is used and never shown, wherever it was written.
func TestSecretsAreNotShown(t *testing.T) {
	const secret = "hunter2"
	for _, url := range []string{
		"postgres://app:" + secret + "@db.internal/artifacts",
		"postgres://app:" + secret + "@a:5432,b:5432/artifacts?sslmode=verify-full",
		"postgresql://app@db.internal/artifacts?password=" + secret + "&sslmode=require",
		"postgres://app:" + secret + "@" + secret + "@db.internal/artifacts",
	} {
		c, err := load("f.yaml", "registry: {url: '"+url+"'}", nil)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		shown, err := c.YAML()
		if err != nil || strings.Contains(string(shown), secret) || strings.Contains(c.Registry.String(), secret) {
			t.Errorf("%s is shown as %s, error %v", url, c.Registry, err)
		}
		if !strings.Contains(string(shown), "artifacts") {
			t.Errorf("what is no secret is not shown: %s", shown)
		}
		if got, err := c.Registry.Address(nil); got != url || err != nil {
			t.Errorf("address %q, %v; want %q", got, err, url)
		}
	}
}

// Errors do not repeat a secret either: not in their words, and not in the line
// that they show.
func TestMistakesDoNotRepeatSecrets(t *testing.T) {
	const secret = "AKIAhunter2"
	backend := "backends:\n  - id: rgw\n    type: s3\n    bucket: b-1\n    "
	for _, source := range []string{
		backend + "secret_key_ref: " + secret,
		backend + "secret_key_ref:\n      " + secret,
		backend + "secret_key_ref: >\n      " + secret,
		backend + "secret_key: " + secret,
		backend + "secret_key_ref: [" + secret + "]",
		backend + "access_key_ref: \"" + secret,
		backend + "endpoint_url: https://u:" + secret + "@host",
		"backends: [{id: rgw, type: s3, bukket: b, secret_key_ref: " + secret + "}]",
		"registry: {url: 'mysql://u:" + secret + "@host/db'}",
		"registry: {url: 'postgres://u:" + secret + "@ho st/db'}",
		"registry: {url: 'postgres:u:" + secret + "'}",
		"registry: {url_ref: " + secret + "}",
		"auth: {password: " + secret + "}",
	} {
		_, err := load("f.yaml", source, nil)
		if err == nil {
			t.Errorf("no mistake in\n%s", source)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the secret is repeated:\n%v", err)
		} else if !strings.Contains(err.Error(), "f.yaml:") {
			t.Errorf("the place is missing: %v", err)
		}
	}
	_, err := load("", "", []string{"ARTIFACTSTORE_REGISTRY_URL_REF=" + secret})
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "ARTIFACTSTORE_REGISTRY_URL_REF") {
		t.Errorf("a literal in a variable: %v", err)
	}
}

func TestLoadReadsAFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(name, []byte("\ufefflisten: 127.0.0.1:1\r\nlimits: {idle: 2s}\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(name, nil)
	if err != nil || c.Listen != "127.0.0.1:1" || c.Limits.Idle.String() != "2s" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml"), nil); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Load(dir, nil); err == nil {
		t.Error("a directory is a configuration")
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large, nil); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge file: %v", err)
	}
}
