package config

import (
	"maps"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Bounds that S3-compatible services agree on, in bytes.
const (
	minChunk = 5 << 20 // the smallest part but the last
	maxChunk = 5 << 30 // the largest part, and the largest object sent in one request
)

func (m *mistakes) checkBackends(c *Config) {
	if len(c.Backends) == 0 {
		m.add("backends", "is empty; want one backend at least")
	}
	ids, places := map[string]string{}, map[string]string{}
	for i, b := range c.Backends {
		path := index("backends", i)
		m.checkID(b.ID, path, ids)
		if err := b.Type.supported(); err != nil {
			m.add(path+".type", "%v", err)
			continue
		}
		m.checkForeign(b, path)
		m.atLeast(path+".verification.bytes_per_second", b.Verification.BytesPerSecond, 0)
		if !isKeyPrefix(b.KeyPrefix) {
			m.add(path+".key_prefix", `%s is not a prefix; want names of lower-case letters, digits, ".", "_" and "-", divided by "/", none beginning with ".", 256 characters at most`, quote(b.KeyPrefix))
		}
		if b.Type == S3 {
			m.checkS3(b, path, c)
		} else if b.Root == "" {
			m.add(path+".root", "is missing; want a directory")
		}
		m.checkPlace(b, path, places)
	}
}

func (m *mistakes) checkID(id, path string, ids map[string]string) {
	switch other, taken := ids[id]; {
	case id == "":
		m.add(path+".id", "is missing; want a name")
	case !isName(id):
		m.add(path+".id", `%s is not a name; want 1 to 64 letters, digits, "_" and "-", a letter or a digit first`, quote(id))
	case taken:
		m.add(path+".id", "%s is the id of %s too; want another", quote(id), other)
	default:
		ids[id] = path
	}
}

// checkForeign refuses the keys of another type: they would say something that
// does not happen.
func (m *mistakes) checkForeign(b Backend, path string) {
	for key, of := range b.foreign {
		if at := path + "." + key; m.rank(at) > 0 {
			m.add(at, "is a key of type %s; this backend has type %s", of, b.Type)
		}
	}
}

// checkPlace refuses two backends that would write over each other's objects, and of
// two in one bucket those of which one would abort the other's uploads: it lists those of all
// keys that begin with its own prefix.
func (m *mistakes) checkPlace(b Backend, path string, places map[string]string) {
	key := "root"
	if b.Type == S3 {
		key = "bucket"
	}
	place := b.place()
	if other, taken := places[place]; taken {
		m.add(path+"."+key, "with its key_prefix, this is where %s keeps its objects; want another %s or key_prefix", other, key)
		return
	}
	for _, other := range slices.Sorted(maps.Keys(places)) {
		if b.Type == S3 && (within(place, other) || within(other, place)) {
			m.add(path+".key_prefix", "its objects and those of %s would be one below the other in one bucket; want two prefixes of which neither is the beginning of the other's path", places[other])
		}
	}
	places[place] = path
}

// within reports whether a place is below another.
func within(place, other string) bool {
	return strings.HasPrefix(place, strings.TrimSuffix(other, "/")+"/")
}

// place is where a backend's objects are, the same for two backends that would
// write over each other.
func (b Backend) place() string {
	if b.Type == S3 {
		return strings.TrimSuffix(strings.ToLower(b.EndpointURL), "/") + " " + b.Bucket + "/" + b.KeyPrefix
	}
	directory := filepath.Join(b.Root, filepath.FromSlash(b.KeyPrefix))
	if absolute, err := filepath.Abs(directory); err == nil {
		return absolute
	}
	return directory
}

// isKeyPrefix says whether every segment is of lower-case letters, digits, ".",
// "_" and "-" and does not begin with a dot: backends take no other keys. The
// empty prefix has no segment.
func isKeyPrefix(prefix string) bool {
	return prefix == "" || len(prefix) <= 256 && !slices.ContainsFunc(strings.Split(prefix, "/"), func(segment string) bool {
		return segment == "" || segment[0] == '.' || strings.Trim(segment, "abcdefghijklmnopqrstuvwxyz0123456789._-") != ""
	})
}

var (
	bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	kmsKeyID   = regexp.MustCompile(`^[A-Za-z0-9:/_.-]{1,1000}$`)
)

// checkS3 checks the keys of type s3.
func (m *mistakes) checkS3(b Backend, path string, c *Config) {
	at := func(key string) string { return path + "." + key }
	m.checkEndpoint(b, path)
	switch {
	case b.Bucket == "":
		m.add(at("bucket"), "is missing; want the name of a bucket")
	case !bucketName.MatchString(b.Bucket) || strings.Contains(b.Bucket, ".."):
		m.add(at("bucket"), `%s is not a bucket's name; want 3 to 63 lower-case letters, digits, "." and "-", a letter or a digit first and last`, quote(b.Bucket))
	}
	if b.AccessKeyRef == "" {
		m.add(at("access_key_ref"), "is missing; want env:NAME or file:/path")
	}
	if b.SecretKeyRef == "" {
		m.add(at("secret_key_ref"), "is missing; want env:NAME or file:/path")
	}
	if b.StorageClass != "" && !isName(b.StorageClass) {
		m.add(at("storage_class"), "%s is not a storage class; want a name such as STANDARD", quote(b.StorageClass))
	}
	m.checkEncryption(b, path)
	m.checkSizes(b, path, c)
	m.within(at("max_connections"), b.MaxConnections, 1, 10_000)
	m.within(at("max_attempts"), b.MaxAttempts, 1, 20)
}

func (m *mistakes) checkEndpoint(b Backend, path string) {
	const want = "want one such as https://rgw.example.internal or http://127.0.0.1:7480"
	at := path + ".endpoint_url"
	u, err := url.Parse(b.EndpointURL)
	switch {
	case b.EndpointURL == "":
		if b.Region == "" {
			m.add(path+".region", "is missing; want it, or an endpoint_url: without one, the service is AWS in a region")
		}
	case err != nil:
		m.add(at, "is not a URL; "+want)
	case u.User != nil:
		m.add(at, "holds a user or a password; credentials belong in access_key_ref and secret_key_ref")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.RawQuery != "", u.Fragment != "":
		m.add(at, "is not the address of a service; "+want)
	case u.Port() != "" && !isPort(u.Port()):
		m.add(at, "has the port %s; want 1 to 65535", u.Port())
	case b.Bucket != "" && strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/"+b.Bucket):
		m.add(at, "ends with the name of the bucket, which is written in bucket; "+want)
	}
	if b.Region != "" && !isName(b.Region) {
		m.add(path+".region", "%s is not a region; want a name such as us-east-1 or default", quote(b.Region))
	}
	if b.CAFile != "" && !strings.HasPrefix(b.EndpointURL, "https:") {
		m.add(path+".ca_file", "is of no use: endpoint_url does not begin with https://")
	}
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

func (m *mistakes) checkEncryption(b Backend, path string) {
	if err := b.SSE.check(); err != nil {
		m.add(path+".sse", "%v", err)
	}
	switch id := path + ".sse_kms_key_id"; {
	case b.SSE == KMS && b.SSEKMSKeyID == "":
		m.add(id, "is missing; sse: aws:kms wants the id of a key")
	case b.SSE != KMS && b.SSEKMSKeyID != "":
		m.add(id, "is of no use without sse: aws:kms")
	case b.SSEKMSKeyID != "" && !kmsKeyID.MatchString(b.SSEKMSKeyID):
		m.add(id, `%s is not the id of a key; want letters, digits, ":", "/", "_", "." and "-"`, quote(b.SSEKMSKeyID))
	}
}

func (m *mistakes) checkSizes(b Backend, path string, c *Config) {
	const buffered = "limits.buffered_bytes"
	threshold, chunk := path+".multipart_threshold_bytes", path+".multipart_chunk_bytes"
	m.within(chunk, b.MultipartChunkBytes, minChunk, maxChunk)
	m.within(threshold, b.MultipartThresholdBytes, 1, maxChunk)
	if m.blamed[chunk] || m.blamed[threshold] || m.blamed[buffered] {
		return
	}
	if b.MultipartThresholdBytes < b.MultipartChunkBytes {
		m.add(m.upper(threshold, chunk), "multipart_threshold_bytes (%d) is less than multipart_chunk_bytes (%d): what is larger than the threshold would not fill a part",
			b.MultipartThresholdBytes, b.MultipartChunkBytes)
	}
	_, parts := c.Buffers()
	if b.MultipartThresholdBytes > parts {
		m.add(m.upper(threshold, buffered), "multipart_threshold_bytes (%d) is more than three quarters of limits.buffered_bytes (%d): what is sent in one request is held in memory whole",
			b.MultipartThresholdBytes, c.Limits.BufferedBytes)
	}
	if b.MultipartChunkBytes > parts/2 {
		m.add(m.upper(chunk, buffered), "multipart_chunk_bytes (%d) is more than three eighths of limits.buffered_bytes (%d): two parts must fit at once",
			b.MultipartChunkBytes, c.Limits.BufferedBytes)
	}
}
