package config

import (
	"reflect"

	"github.com/goccy/go-yaml"
)

// Backend is one place for bytes. The keys behind the first three belong to one
// type each, and are empty in a backend of the other.
type Backend struct {
	ID   string      `yaml:"id"` // unique
	Type BackendType `yaml:"type"`
	// KeyPrefix is put before every key: segments divided by "/"; may be empty.
	KeyPrefix string `yaml:"key_prefix"`
	// Verification is when every object is read again.
	Verification Verification `yaml:"verification"`

	// Root is a directory. A relative one is relative to the directory in which
	// the program was started, not to the file's.
	Root string `yaml:"root" of:"local"`
	// VerifyReads compares what is read whole with its digest on its way out, which
	// costs the kernel's own way to a socket. Backends of type s3 always do.
	VerifyReads bool `yaml:"verify_reads" of:"local"`

	EndpointURL  string    `yaml:"endpoint_url" of:"s3"` // http or https; empty is AWS itself
	Region       string    `yaml:"region" of:"s3"`       // us-east-1 with an endpoint of one's own
	Bucket       string    `yaml:"bucket" of:"s3"`
	AccessKeyRef Reference `yaml:"access_key_ref" of:"s3"`
	SecretKeyRef Reference `yaml:"secret_key_ref" of:"s3"`
	// StorageClass is given to every object; empty is the bucket's own.
	StorageClass string     `yaml:"storage_class" of:"s3"`
	SSE          Encryption `yaml:"sse" of:"s3"`
	SSEKMSKeyID  string     `yaml:"sse_kms_key_id" of:"s3"` // not empty with aws:kms alone
	// MultipartThresholdBytes is the size up to which an object is sent in one
	// request, MultipartChunkBytes the size of the parts of a larger one. The
	// chunk is at most the threshold, and both fit what [Config.Buffers] gives.
	MultipartThresholdBytes int64  `yaml:"multipart_threshold_bytes" of:"s3"`
	MultipartChunkBytes     int64  `yaml:"multipart_chunk_bytes" of:"s3"`
	PathStyle               bool   `yaml:"path_style" of:"s3"` // the bucket in the path, not in the host's name
	CAFile                  string `yaml:"ca_file" of:"s3"`    // PEM; besides the system's authorities
	MaxConnections          int64  `yaml:"max_connections" of:"s3"`
	MaxAttempts             int64  `yaml:"max_attempts" of:"s3"` // of one request, the first included
}

// What an s3 backend has where a key is not written.
const (
	defaultRegion         = "us-east-1"
	defaultThreshold      = 16 << 20
	defaultChunk          = 8 << 20
	defaultMaxConnections = 256
	defaultMaxAttempts    = 4
)

// complete gives the keys that no layer wrote the defaults that depend on what
// stands beside them, and that [Default] therefore cannot hold.
func (m *mistakes) complete(c *Config) {
	if len(c.Backends) == 1 && m.rank("routing.default") == 0 {
		c.Routing.Default = c.Backends[0].ID
	}
	m.completeAuth(&c.Auth)
	m.completeLimits(&c.Limits)
	for i := range c.Backends {
		if b := &c.Backends[i]; b.Type == S3 {
			m.completeS3(b, index("backends", i))
		}
	}
}

func (m *mistakes) completeS3(b *Backend, path string) {
	unwritten := func(key string) bool { return m.rank(path+"."+key) == 0 }
	if b.EndpointURL != "" && unwritten("region") {
		b.Region = defaultRegion
	}
	if unwritten("path_style") {
		b.PathStyle = b.EndpointURL != ""
	}
	for _, n := range []struct {
		key   string
		value *int64
		to    int64
	}{
		{"multipart_threshold_bytes", &b.MultipartThresholdBytes, defaultThreshold},
		{"multipart_chunk_bytes", &b.MultipartChunkBytes, defaultChunk},
		{"max_connections", &b.MaxConnections, defaultMaxConnections},
		{"max_attempts", &b.MaxAttempts, defaultMaxAttempts},
	} {
		if unwritten(n.key) {
			*n.value = n.to
		}
	}
}

// foreign yields the keys of a backend that belong to other types than its own.
func (b Backend) foreign(yield func(key string, of BackendType) bool) {
	t := reflect.TypeFor[Backend]()
	for i := range t.NumField() {
		of := BackendType(t.Field(i).Tag.Get("of"))
		if of != "" && of != b.Type && !yield(t.Field(i).Tag.Get("yaml"), of) {
			return
		}
	}
}

// MarshalYAML shows the keys of the backend's type.
func (b Backend) MarshalYAML() (any, error) {
	other := map[string]bool{}
	for key := range b.foreign {
		other[key] = true
	}
	var shown yaml.MapSlice
	for key, value := range fields(reflect.ValueOf(b)) {
		if !other[key] {
			shown = append(shown, yaml.MapItem{Key: key, Value: value.Interface()})
		}
	}
	return shown, nil
}
