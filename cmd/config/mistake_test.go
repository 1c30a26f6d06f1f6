package config

import (
	"fmt"
	"strings"
	"testing"
)

// s3 is a backend of that type that is right, and open for more keys.
const s3 = `backends:
  - id: rgw
    type: s3
    endpoint_url: https://rgw.example.internal
    bucket: artifacts
    access_key_ref: env:A
    secret_key_ref: env:B
`

// Each source has one mistake, whose sentence begins at the line and column
// where the user has to change something.
func TestMistakes(t *testing.T) {
	for _, tt := range []struct{ source, want string }{
		// The form of the file.
		{"listen: [", "1:9: "},
		{"listen: a: b", "1:"},
		{"listen: \"abc", "1:9: "},
		{"- a\n- b\n", "1:1: want keys and values here"},
		{"just words", "1:1: want keys and values here"},
		{"listen: 127.0.0.1:1\n---\nlisten: 127.0.0.1:2\n", "2:1: a second document begins here"},
		{"listen: 127.0.0.1:1\n...\nlimits: {}\n", "3:1: a second document begins here"},
		{"listen: &a 127.0.0.1:1", "1:9: anchors are not supported"},
		{"listen: *a", "1:9: aliases are not supported"},
		{"listen: !!str x", "1:9: tags are not supported"},
		{"%YAML 1.2\n---\nlisten: x", "1:1: directives are not supported"},
		{"limits: " + strings.Repeat("[", 17) + strings.Repeat("]", 17), "1:25: nested more than 16 deep"},
		{strings.Repeat("- ", 17) + "a", "1:33: nested more than 16 deep"},
		{"limits: " + strings.Repeat("{a: ", 100_000), "1:73: nested more than 16 deep"},
		{"listen: \xff", "1:9: the file is not UTF-8 text"},
		{"a: 1\nlimits:\n\tidle: 60s", "3:"},
		// Keys.
		{"lisen: 127.0.0.1:1", "1:1: lisen: no such key; want listen, tls, proxies,"},
		{"limits:\n  idel: 60s", "2:3: limits.idel: no such key; want upload_bytes,"},
		{"limits: {idle: 1s}\nlisten: 127.0.0.1:1\nlimits: {idle: 2s}", "3:1: limits: is written twice, first on line 1"},
		{"limits:\n  idle: 1s\n  idle: 2s", "3:3: limits.idle: is written twice, first on line 2"},
		{"retention:\n  default: a\n  classes: {a: 1d, a: 2d}", "3:20: retention.classes.a: is written twice"},
		{"backends:\n  - id: a\n    type: local\n    root: r\n    rot: r", "5:5: backends[0].rot: no such key"},
		{"limits:", "1:9: limits: has no value"},
		{"limits: null", "1:9: limits: has no value"},
		{"limits: 3", "1:9: limits: want keys and values here"},
		{"listen: {a: b}", "1:9: listen: want one value here"},
		{"backends: {a: b}", "1:11: backends: want a list here"},
		// Values.
		{"listen: localhost", `1:9: listen: "localhost" is not an address`},
		{"listen: 127.0.0.1:http", `1:9: listen: "http" is not a port`},
		{"listen: 127.0.0.1:65536", `1:9: listen: "65536" is not a port`},
		{"listen: 0.0.0.0:80", `1:9: listen: "0.0.0.0:80" can be reached from other machines and auth.mode is not written`},
		{"listen: :80", `1:9: listen: ":80" can be reached from other machines`},
		{"listen: '[::]:80'", "1:9: listen: "},
		{"listen: store.example:80", "1:9: listen: "},
		{"limits: {idle: soon}", `1:16: limits.idle: "soon" is not a duration`},
		{"limits: {idle: -1s}", `1:16: limits.idle: "-1s" is not a duration`},
		{"limits: {idle: 0s}", "1:16: limits.idle: is nothing"},
		{"limits: {idle: 99999999999999999999w}", "1:16: limits.idle: "},
		{"limits: {upload_bytes: 1.5}", `1:24: limits.upload_bytes: "1.5" is not a whole number`},
		{"limits: {upload_bytes: 0x10}", `1:24: limits.upload_bytes: "0x10" is not a whole number`},
		{"limits: {upload_bytes: -1}", "1:24: limits.upload_bytes: -1 is too little"},
		{"limits: {buffered_bytes: 1024}", "1:26: limits.buffered_bytes: 1024 is too little"},
		{"limits: {manifest_bytes: 268435457}", "1:26: limits.manifest_bytes: manifest_bytes (268435457) is more than buffered_bytes"},
		{"retention: {upload_grace: 60s}", "1:27: retention.upload_grace: upload_grace (60s) is not longer than limits.idle (60s)"},
		{"limits: {idle: 24h}", "1:16: limits.idle: upload_grace (24h) is not longer than limits.idle (24h)"},
		{"retention: {collection: {grace: 60s}}", "1:33: retention.collection.grace: collection.grace (60s) is not longer than limits.idle (60s)"},
		{"limits: {idle: 1h}", "1:16: limits.idle: collection.grace (1h) is not longer than limits.idle (1h)"},
		{"retention: {collection: {orphan_age: 24h}}", "1:38: retention.collection.orphan_age: collection.orphan_age (24h) is not longer than upload_grace (24h)"},
		{"retention: {upload_grace: 2d}", "1:27: retention.upload_grace: collection.orphan_age (48h) is not longer than upload_grace (2d)"},
		{"retention: {collection: {every: 0s}}", "1:33: retention.collection.every: 0s is too short; want 100ms or more"},
		{"retention: {collection: {orphans_every: 1ms}}", "1:41: retention.collection.orphans_every: 1ms is too short"},
		{"retention: {collection: {removal_wait: 1s}}", "1:40: retention.collection.removal_wait: 1s is too short; want 5s or more"},
		{"retention: {default: gold}", `1:22: retention.default: there is no class "gold"; want one of ephemeral, release, standard`},
		{"retention: {default: a, classes: {a: 0s}}", "1:38: retention.classes.a: is nothing"},
		{"retention: {default: a, classes: {a: 1d, 'b c': 1d}}", "1:49: retention.classes.\"b c\": the name is not one"},
		// Who may do what.
		{"auth: {mode: ldap}", `1:14: auth.mode: "ldap" is not supported by this version; want none, or one or several of tokens, htpasswd`},
		{"auth: {mode: ldap, ldap: {server: x}}", `1:14: auth.mode: "ldap" is not supported by this version`},
		{"auth: {mode: [tokens, ldap]}", `1:14: auth.mode: "ldap" is not supported`},
		{"auth: {mode: [tokens, none]}", "1:14: auth.mode: none stands beside others"},
		{"auth: {mode: [tokens, tokens]}", "1:14: auth.mode: tokens is there twice"},
		{"auth: {mode: {tokens: true}}", "1:14: auth.mode: want one value here"},
		{"auth: {mode: none, anonymous: ['pull:*']}", "1:31: auth.anonymous: stands beside mode none"},
		{"auth: {mode: tokens, anonymous: [pull]}", `1:34: auth.anonymous[0]: "pull" is not a grant`},
		{"auth: {mode: tokens, anonymous: ['read:*']}", `1:34: auth.anonymous[0]: "read" is not a verb`},
		{"auth: {mode: tokens, anonymous: ['pull:']}", `1:34: auth.anonymous[0]: "" is not a pattern`},
		{"auth: {mode: tokens, anonymous: ['pull:a//b']}", `1:34: auth.anonymous[0]: "a//b" is not a pattern`},
		{"auth: {mode: tokens, anonymous: ['pull:[a']}", "1:34: auth.anonymous[0]: "},
		{"auth: {mode: tokens, external_url: example.org}", "1:36: auth.external_url: is not an address"},
		{"auth: {mode: tokens, external_url: 'https://u:p@h'}", "1:36: auth.external_url: is not an address"},
		{"auth: {mode: none, tokens: [{name: ci, token_sha256_ref: env:A, allow: ['pull:*']}]}", "1:28: auth.tokens: is there without its mode; write tokens in auth.mode"},
		{"auth: {mode: tokens, tokens: [{name: ci, token_sha256_ref: 0123456789abcdef, allow: ['pull:*']}]}", "1:60: auth.tokens[0].token_sha256_ref: is not a reference"},
		{"auth: {mode: tokens, tokens: [{name: ci, allow: ['pull:*']}]}", "1:31: auth.tokens[0].token_sha256_ref: is missing"},
		{"auth: {mode: tokens, tokens: [{name: ci, token_sha256_ref: env:A}]}", "1:31: auth.tokens[0].allow: is empty"},
		{"auth: {mode: tokens, tokens: [{name: a/b, token_sha256_ref: env:A, allow: ['pull:*']}]}", `1:38: auth.tokens[0].name: "a/b" is not a name`},
		{"auth: {mode: tokens, tokens: [{name: anonymous, token_sha256_ref: env:A, allow: ['pull:*']}]}", "1:38: auth.tokens[0].name: anonymous is not to be had as a name"},
		{"auth: {mode: tokens, htpasswd: {file: f}}", "1:32: auth.htpasswd: is there without its mode"},
		{"auth: {mode: htpasswd}", "1:7: auth.htpasswd.file: is missing"},
		{"auth: {mode: htpasswd, htpasswd: {file: f, users: [{name: a, allow: ['pull:*']}, {name: a, allow: ['pull:*']}]}}", `1:89: auth.htpasswd.users[1].name: "a" is the name of auth.htpasswd.users[0] too`},
		{"auth: {mode: oidc}", "1:7: auth.oidc: is empty"},
		{"auth: {mode: tokens, oidc: [{issuer: 'https://i', audience: a}]}", "1:28: auth.oidc: is there without its mode"},
		{"auth: {mode: oidc, oidc: [{issuer: 'http://ci.example.org', audience: a, rules: [{claims: {sub: a}, allow: ['pull:*']}]}]}", "1:36: auth.oidc[0].issuer: is not the URL of an issuer"},
		{"auth: {mode: oidc, oidc: [{issuer: 'https://i', rules: [{claims: {sub: a}, allow: ['pull:*']}]}]}", "1:27: auth.oidc[0].audience: is missing"},
		{"auth: {mode: oidc, oidc: [{issuer: 'https://i', audience: a}]}", "1:27: auth.oidc[0].rules: is empty"},
		{"auth: {mode: oidc, oidc: [{issuer: 'https://i', audience: a, rules: [{allow: ['pull:*']}]}]}", "1:70: auth.oidc[0].rules[0].claims: is empty"},
		{"auth: {mode: oidc, oidc: [{issuer: 'https://i', audience: a, rules: [{claims: {sub: ''}, allow: ['pull:*']}]}]}", "1:85: auth.oidc[0].rules[0].claims.sub: is empty"},
		{"auth: {mode: certificates, certificates: {principals: [{name: a, allow: ['pull:*']}]}}\ntls: {certificate_ref: env:C, key_ref: env:K}", "1:42: auth.certificates.ca_file: is missing"},
		{"auth: {mode: certificates, certificates: {ca_file: c}}\ntls: {certificate_ref: env:C, key_ref: env:K}", "1:42: auth.certificates.principals: is empty"},
		{"auth: {mode: certificates, certificates: {ca_file: c, principals: [{name: '[', allow: ['pull:*']}]}}\ntls: {certificate_ref: env:C, key_ref: env:K}", `1:75: auth.certificates.principals[0].name: "[" is not a pattern`},
		{"auth: {mode: certificates, certificates: {ca_file: c, principals: [{name: a, allow: ['pull:*']}]}}", "1:14: auth.mode: certificates needs TLS"},
		// TLS.
		{"tls: {certificate_ref: env:C}", "1:6: tls.key_ref: is missing beside certificate_ref"},
		{"tls: {key_ref: env:K}", "1:6: tls.certificate_ref: is missing beside key_ref"},
		{"tls: {certificate_ref: cert.pem, key_ref: env:K}", "1:24: tls.certificate_ref: is not a reference"},
		{"proxies: 10.0.0.0/8", "1:10: proxies: want a list here"},
		{"proxies: [proxy.example.org]", `1:11: proxies[0]: "proxy.example.org" is not a network`},
		{"proxies: [10.0.0.1, 10.1.2.3/8]", `1:21: proxies[1]: "10.1.2.3/8" is not a network; did you mean 10.0.0.0/8?`},
		{"proxies: [0.0.0.0/0]", `1:11: proxies[0]: "0.0.0.0/0" is everybody`},
		{"proxies: ['::/0']", `1:11: proxies[0]: "::/0" is everybody`},
		{"proxies: ['::ffff:10.0.0.0/104']", `1:11: proxies[0]: "::ffff:10.0.0.0/104" is not a network`},
		{"limits: {connections: -1}", "1:23: limits.connections: -1 is out of bounds; want 0 to 1048576"},
		{"limits: {connections_per_address: -1}", "1:35: limits.connections_per_address: -1 is out of bounds; want 0 to 1048576"},
		{"limits: {connections: 100, connections_per_address: 101}", "1:53: limits.connections_per_address: connections_per_address (101) is more than connections (100)"},
		{"limits: {uploads_per_principal: 9999999}", "1:33: limits.uploads_per_principal: 9999999 is out of bounds"},
		{"limits: {sessions_per_principal: -1}", "1:34: limits.sessions_per_principal: -1 is out of bounds"},
		{"debug: {listen: '0.0.0.0:6060'}", `1:17: debug.listen: "0.0.0.0:6060" can be reached from other machines`},
		{"debug: {listen: ':6060'}", `1:17: debug.listen: ":6060" can be reached`},
		{"debug: {listen: '6060'}", `1:17: debug.listen: "6060" is not an address`},
		{"debug: {listen: 'localhost:x'}", `1:17: debug.listen: "x" is not a port`},
		// The registry.
		{"registry: {url: ''}", "1:17: registry.url: is empty"},
		{"registry: {url: registry.db}", "1:17: registry.url: has no scheme"},
		{"registry: {url: 'mysql://h/d'}", `1:17: registry.url: has the scheme "mysql", which is not supported`},
		{"registry: {url: 'sqlite:'}", "1:17: registry.url: has no path"},
		{"registry: {url: 'sqlite::memory:'}", "1:17: registry.url: is in memory"},
		{"registry: {url: 'postgres:h/d'}", `1:17: registry.url: has no "//"`},
		{"registry: {url: 'postgres://u:%zz@h/d'}", "1:17: registry.url: is not a URL"},
		{"registry: {url: 'sqlite:r.db', url_ref: 'env:U'}", "1:41: registry.url_ref: stands beside registry.url"},
		{"registry: {url_ref: 'file:relative'}", "1:21: registry.url_ref: is not a reference"},
		{"registry: {url_ref: 'env:A B'}", "1:21: registry.url_ref: is not a reference"},
		{"registry: {url_ref: 'env:'}", "1:21: registry.url_ref: is not a reference"},
		// Backends and routes.
		{"backends: []", "1:11: backends: is empty"},
		{"backends: [{type: local, root: a}]\nrouting: {default: local}", "1:12: backends[0].id: is missing"},
		{"backends: [{id: a b, type: local, root: a}]", `1:17: backends[0].id: "a b" is not a name`},
		{"backends:\n  - {id: local, type: local, root: a}\n  - {id: local, type: local, root: b}", `3:10: backends[1].id: "local" is the id of backends[0] too`},
		{"backends: [{id: local, root: a}]", "1:12: backends[0].type: is missing"},
		{"backends: [{id: local, type: tape, drive: 3}]", `1:30: backends[0].type: "tape" is not supported`},
		{"backends: [{id: local, type: local}]", "1:12: backends[0].root: is missing"},
		{"backends:\n  - {id: local, type: local, root: a}\n  - {id: b, type: local, root: ./a}", "3:32: backends[1].root: with its key_prefix, this is where backends[0] keeps its objects"},
		{"backends: [{id: local, type: local, root: a, key_prefix: /a}]", `1:58: backends[0].key_prefix: "/a" is not a prefix`},
		{"backends: [{id: local, type: local, root: a, key_prefix: a/../b}]", "1:58: backends[0].key_prefix: "},
		{"backends: [{id: local, type: local, root: a, key_prefix: Prod}]", "1:58: backends[0].key_prefix: "},
		{"backends: [{id: local, type: local, root: a, bucket: b}]", "1:54: backends[0].bucket: is a key of type s3; this backend has type local"},
		{"backends:\n  - {id: a, type: local, root: a}\n  - {id: b, type: local, root: b}", "2:3: backends: routing.default is not written, and which of a, b it is cannot be told"},
		{"routing: {default: disk}", `1:20: routing.default: there is no backend "disk"; want one of local`},
		{"routing: {rules: [{producer: a, backend: disk}]}", `1:42: routing.rules[0].backend: there is no backend "disk"`},
		{"routing: {rules: [{backend: local}]}", "1:19: routing.rules[0]: has neither retention_class nor producer"},
		{"routing: {rules: [{producer: '[a', backend: local}]}", `1:30: routing.rules[0].producer: "[a" is not a glob`},
		{"routing: {rules: [{producer: a/b, backend: local}]}", `1:30: routing.rules[0].producer: "a/b" matches no producer`},
		{"routing: {copies: [tape]}", `1:20: routing.copies[0]: there is no backend "tape"; want one of local`},
		{"routing: {copies: [local]}", `1:20: routing.copies[0]: the copy would be on "local", where the bytes are already`},
		{"backends:\n  - {id: a, type: local, root: a}\n  - {id: b, type: local, root: b}\nrouting: {default: a, rules: [{producer: p, backend: a, copies: [b, b]}]}", `4:69: routing.rules[0].copies[1]: "b" is there twice`},
		{"routing: {copies: local}", "1:19: routing.copies: want a list here"},
		{"routing: {copying: {bytes_per_second: -1}}", "1:39: routing.copying.bytes_per_second: -1 is too little"},
		{"routing: {copying: {every: 0s}}", "1:28: routing.copying.every: "},
		{"routing: {rules: [{retention_class: gold, backend: local}]}", `1:37: routing.rules[0].retention_class: there is no class "gold"`},
	} {
		checkMistake(t, tt.source, tt.want)
	}
}

// TestBucketsShared puts two backends into one bucket: one below the other would abort
// the other's uploads.
func TestBucketsShared(t *testing.T) {
	const text = "backends:\n" +
		"  - {id: a, type: s3, endpoint_url: http://rgw, bucket: artifacts, access_key_ref: env:A, secret_key_ref: env:S, key_prefix: %q}\n" +
		"  - {id: b, type: s3, endpoint_url: http://rgw, bucket: %s, access_key_ref: env:A, secret_key_ref: env:S, key_prefix: %q}\n" +
		"routing: {default: a}"
	for _, tt := range []struct {
		a, bucket, b string
		refused      bool
	}{
		{"prod", "artifacts", "test", false},
		{"prod", "artifacts", "prod2", false},
		{"", "others", "prod", false},
		{"", "artifacts", "prod", true},
		{"prod", "artifacts", "", true},
		{"prod/ci", "artifacts", "prod", true},
		{"prod", "artifacts", "prod/ci", true},
	} {
		_, err := load("f.yaml", fmt.Sprintf(text, tt.a, tt.bucket, tt.b), nil)
		if refused := err != nil && strings.Contains(err.Error(), "backends[1].key_prefix: its objects and those of backends[0]"); refused != tt.refused || err != nil && !refused {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

func TestS3Mistakes(t *testing.T) {
	const more = s3 + "    %s\nrouting: {default: rgw}"
	if _, err := load("f.yaml", fmt.Sprintf(more, "region: x"), nil); err != nil {
		t.Fatalf("the backend of this test has a mistake of its own: %v", err)
	}
	for _, tt := range []struct{ key, want string }{
		{"root: /srv", "8:11: backends[0].root: is a key of type local; this backend has type s3"},
		{"key_prefix: a//b", "8:17: backends[0].key_prefix: "},
		{"storage_class: a b", `8:20: backends[0].storage_class: "a b" is not a storage class`},
		{"sse: aes128", `8:10: backends[0].sse: "aes128" is not supported; want AES256 or aws:kms`},
		{"sse: aws:kms", "2:5: backends[0].sse_kms_key_id: is missing"},
		{"sse_kms_key_id: abc", "8:21: backends[0].sse_kms_key_id: is of no use without sse: aws:kms"},
		{"sse: AES256\n    sse_kms_key_id: abc", "9:21: backends[0].sse_kms_key_id: is of no use without sse: aws:kms"},
		{"multipart_chunk_bytes: 5242879", "8:28: backends[0].multipart_chunk_bytes: 5242879 is out of bounds; want 5242880 to 5368709120"},
		{"multipart_chunk_bytes: 5368709121", "8:28: backends[0].multipart_chunk_bytes: "},
		{"multipart_chunk_bytes: 33554432", "8:28: backends[0].multipart_chunk_bytes: multipart_threshold_bytes (16777216) is less than"},
		{"multipart_threshold_bytes: 0", "8:32: backends[0].multipart_threshold_bytes: 0 is out of bounds"},
		{"multipart_threshold_bytes: 6000000", "8:32: backends[0].multipart_threshold_bytes: multipart_threshold_bytes (6000000) is less than"},
		{"multipart_threshold_bytes: 268435457", "8:32: backends[0].multipart_threshold_bytes: multipart_threshold_bytes (268435457) is more than three quarters of limits.buffered_bytes"},
		{"multipart_threshold_bytes: 150000000\n    multipart_chunk_bytes: 110000000", "9:28: backends[0].multipart_chunk_bytes: multipart_chunk_bytes (110000000) is more than three eighths of limits.buffered_bytes"},
		{"path_style: yes", `8:17: backends[0].path_style: "yes" is neither true nor false`},
		{"max_connections: 0", "8:22: backends[0].max_connections: 0 is out of bounds"},
		{"max_attempts: 21", "8:19: backends[0].max_attempts: 21 is out of bounds"},
		{"region: 'a b'", `8:13: backends[0].region: "a b" is not a region`},
		{"bukket: a", "8:5: backends[0].bukket: no such key"},
	} {
		checkMistake(t, fmt.Sprintf(more, tt.key), tt.want)
	}
	checkMistake(t, fmt.Sprintf(more, "")+"\nlimits: {buffered_bytes: 33554431}", "10:26: limits.buffered_bytes: 33554431 is too little; want 33554432 or more")
	if _, err := load("f.yaml", fmt.Sprintf(more, "")+"\nlimits: {buffered_bytes: 33554432}", nil); err != nil {
		t.Errorf("the least buffered_bytes with the default sizes: %v", err)
	}
	for _, tt := range []struct{ from, to, want string }{
		{"bucket: artifacts", "bucket: Artifacts", `5:13: backends[0].bucket: "Artifacts" is not a bucket's name`},
		{"bucket: artifacts", "bucket: a..b", "5:13: backends[0].bucket: "},
		{"bucket: artifacts", "path_style: true", "2:5: backends[0].bucket: is missing"},
		{"secret_key_ref: env:B", "secret_key_ref: ''", "7:21: backends[0].secret_key_ref: is missing"},
		{"access_key_ref: env:A", "access_key_ref: AKIA", "6:21: backends[0].access_key_ref: is not a reference"},
		{"endpoint_url: https://rgw.example.internal", "endpoint_url: rgw:7480", "4:19: backends[0].endpoint_url: is not the address of a service"},
		{"endpoint_url: https://rgw.example.internal", "endpoint_url: https://u:p@h", "4:19: backends[0].endpoint_url: holds a user or a password"},
		{"endpoint_url: https://rgw.example.internal", "endpoint_url: https://h:65536", "4:19: backends[0].endpoint_url: has the port 65536; want 1 to 65535"},
		{"endpoint_url: https://rgw.example.internal", "endpoint_url: https://h/artifacts/", "4:19: backends[0].endpoint_url: ends with the name of the bucket"},
		{"endpoint_url: https://rgw.example.internal", "endpoint_url: https://h/?a=b", "4:19: backends[0].endpoint_url: "},
		{"endpoint_url: https://rgw.example.internal", "endpoint_url: 'http://h\\:1 /'", "4:19: backends[0].endpoint_url: is not a URL"},
		{"endpoint_url: https://rgw.example.internal", "path_style: false", "2:5: backends[0].region: is missing"},
		{"endpoint_url: https://rgw.example.internal", "endpoint_url: http://h\n    ca_file: /ca.pem", "5:14: backends[0].ca_file: is of no use"},
	} {
		checkMistake(t, strings.Replace(fmt.Sprintf(more, ""), tt.from, tt.to, 1), tt.want)
	}
}

// checkMistake demands one mistake, at its place.
func checkMistake(t *testing.T, source, want string) {
	t.Helper()
	_, err := load("f.yaml", source, nil)
	if err == nil {
		t.Errorf("no mistake in %.200q; want %s", source, want)
		return
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	if !strings.HasPrefix(text, "f.yaml:"+want) {
		t.Errorf("%.200q:\ngot  %s\nwant f.yaml:%s…", source, text, want)
	}
	if n := strings.Count(err.Error(), "f.yaml:"); n != 1 {
		t.Errorf("%.200q has %d mistakes:\n%v", source, n, err)
	}
}

func TestVariableMistakes(t *testing.T) {
	for _, tt := range []struct{ variable, want string }{
		{"ARTIFACTSTORE_LISTEN=here", `ARTIFACTSTORE_LISTEN: listen: "here" is not an address`},
		{"ARTIFACTSTORE_LISTEN=0.0.0.0:80", "ARTIFACTSTORE_LISTEN: listen: \"0.0.0.0:80\" can be reached"},
		{"ARTIFACTSTORE_LIMITS_IDLE=25h", "ARTIFACTSTORE_LIMITS_IDLE: limits.idle: upload_grace (24h) is not longer"},
		{"ARTIFACTSTORE_LISTENN=a", "ARTIFACTSTORE_LISTENN: names no key"},
		{"ARTIFACTSTORE_BACKENDS_1_ROOT=/x", "ARTIFACTSTORE_BACKENDS_1_ROOT: names no key"},
		{"ARTIFACTSTORE_BACKENDS_0_BUCKET=b", "ARTIFACTSTORE_BACKENDS_0_BUCKET: backends[0].bucket: is a key of type s3"},
		{"ARTIFACTSTORE_PORT_8080_TCP=tcp://10.0.0.1:8080", "ARTIFACTSTORE_PORT_8080_TCP: names no key (if it stems from a Kubernetes service"},
		{"ARTIFACTSTORE_ROUTING_DEFAULT=a\x1b[31m", "ARTIFACTSTORE_ROUTING_DEFAULT: routing.default: has a character that cannot be shown"},
	} {
		_, err := load("", "", []string{tt.variable})
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s:\ngot  %v\nwant %s…", tt.variable, err, tt.want)
		}
	}
}

// What other machines reach is a decision that must be written down.
func TestNonLoopbackListenWantsAuthMode(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "127.8.9.1:0", "'[::1]:0'", "localhost:0", "'[::ffff:127.0.0.1]:0'"} {
		if _, err := load("f.yaml", "listen: "+listen, nil); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	for _, source := range []string{"listen: 0.0.0.0:80\nauth: {mode: none}", "listen: ':80'\nauth: {mode: none}"} {
		if _, err := load("f.yaml", source, nil); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
	if _, err := load("f.yaml", "listen: 0.0.0.0:80", []string{"ARTIFACTSTORE_AUTH_MODE=none"}); err != nil {
		t.Errorf("the mode written in a variable: %v", err)
	}
}

// A line is shown with a caret under the column, also behind tabs and wide
// characters, and all mistakes are reported at once, in the order of the file.
func TestMistakesAreShown(t *testing.T) {
	_, err := load("dir/f.yaml", "limits: {idle: 60s, upload_bytes: many}\nroutin: 1\nlisten: 127.0.0.1\n", []string{"ARTIFACTSTORE_X=1"})
	want := `dir/f.yaml:1:35: limits.upload_bytes: "many" is not a whole number; want digits alone, such as 4194304
>  1 | limits: {idle: 60s, upload_bytes: many}
                                         ^
dir/f.yaml:2:1: routin: no such key; want listen, tls, proxies, registry, backends, routing, retention, limits, auth, debug
>  2 | routin: 1
       ^
dir/f.yaml:3:9: listen: "127.0.0.1" is not an address; want host:port, such as 127.0.0.1:8080 or [::1]:8080
>  3 | listen: 127.0.0.1
               ^
ARTIFACTSTORE_X: names no key`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestManyMistakesAreCounted(t *testing.T) {
	var source strings.Builder
	for i := range 30 {
		fmt.Fprintf(&source, "k%d: 1\n", i)
	}
	_, err := load("f.yaml", source.String(), nil)
	if err == nil || !strings.HasSuffix(err.Error(), "and 10 more mistakes") {
		t.Errorf("%v", err)
	}
}
