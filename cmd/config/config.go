// Package config reads, checks and shows the configuration of artifactstore.
//
// A configuration has three layers, each replacing what the one below says of
// a key: [Default], the YAML file, and environment variables named by the key's
// path in capitals (limits.idle is ARTIFACTSTORE_LIMITS_IDLE, the root of the
// first backend ARTIFACTSTORE_BACKENDS_0_ROOT). A list or a set of classes in
// the file replaces the default one whole; a variable changes an element that
// is there and never adds one.
//
// A Config from [Load] is whole and means something: no reader has to check it
// again. Nothing is opened here, no backend and no registry; only
// [Reference.Read] and [Registry.Address] read the one secret they are asked for.
package config

import "slices"

// Config is a whole configuration. The order of the fields is the order in
// which [Config.YAML] shows the keys.
type Config struct {
	Listen string `yaml:"listen"` // host:port; port 0 is any free one
	TLS    TLS    `yaml:"tls"`
	// Proxies are the networks whose hosts are believed whom they forward for.
	Proxies   []Network `yaml:"proxies"`
	Registry  Registry  `yaml:"registry"`
	Backends  []Backend `yaml:"backends"`
	Routing   Routing   `yaml:"routing"`
	Retention Retention `yaml:"retention"`
	Limits    Limits    `yaml:"limits"`
	Auth      Auth      `yaml:"auth"`
	Debug     Debug     `yaml:"debug"`
}

// Routing says which backend takes which bytes.
type Routing struct {
	Default string   `yaml:"default"` // id of the backend for what no rule matches; the only backend, if there is one
	Copies  []string `yaml:"copies"`  // ids of the backends that get a copy of it
	Rules   []Rule   `yaml:"rules"`   // the first match wins
	Copying Copying  `yaml:"copying"`
}

// Copying says how the background makes copies.
type Copying struct {
	Every          Duration `yaml:"every"`            // between two looks at what is missing; what is new is copied within seconds
	BytesPerSecond int64    `yaml:"bytes_per_second"` // of all copies together; 0 is no bound
}

// Rule sends what matches all its conditions to a backend. An empty condition
// matches everything; one of the two is not empty.
type Rule struct {
	RetentionClass string `yaml:"retention_class"` // a class by name
	// Producer is a glob of [path.Match] over a producer's name. Its "*" does
	// not cross "/", which no producer's name contains.
	Producer string `yaml:"producer"`
	Backend  string `yaml:"backend"` // id
	// Copies are the ids of the backends that get a copy, in the background.
	Copies []string `yaml:"copies"`
}

// Retention says how long content is kept.
type Retention struct {
	Default string              `yaml:"default"` // the class where none is asked for
	Classes map[string]Lifetime `yaml:"classes"`
	// UploadGrace is how long an upload may rest before it counts as abandoned.
	// It is longer than Limits.Idle.
	UploadGrace Duration   `yaml:"upload_grace"`
	Collection  Collection `yaml:"collection"`
}

// Collection says when what nothing needs any more is removed.
type Collection struct {
	Every        Duration `yaml:"every"`         // between two runs of expiry and collection, over all gateways
	Grace        Duration `yaml:"grace"`         // how long a blob was needed by nobody; longer than Limits.Idle
	OrphansEvery Duration `yaml:"orphans_every"` // between two walks over a backend for objects without a record
	OrphanAge    Duration `yaml:"orphan_age"`    // how old such an object must be; longer than Retention.UploadGrace
	// RemovalWait is how long a delete that was not answered may still take effect. A
	// fifth of it is the time in which one must be answered.
	RemovalWait Duration `yaml:"removal_wait"`
}

// Debug serves what helps to find a fault.
type Debug struct {
	// Listen is host:port of this machine alone, where profiles of the process are
	// served to whoever is on it; empty serves none.
	Listen string `yaml:"listen"`
}

// Limits bounds what a client may take.
type Limits struct {
	UploadBytes   int64 `yaml:"upload_bytes"`   // largest upload; 0 is no limit
	ManifestBytes int64 `yaml:"manifest_bytes"` // largest manifest; at most BufferedBytes
	BufferedBytes int64 `yaml:"buffered_bytes"` // held in memory by all transfers together; at least 8 MiB, 32 MiB with an s3 backend
	// Connections is how many clients may be connected at once; one more waits. 0 is no
	// limit, as for the next three, of which the last two are refused with 429 beyond.
	Connections int64 `yaml:"connections"`
	// ConnectionsPerAddress is how many of them may be of one address, of IPv6 one /64;
	// one more is closed. Not of a proxy, nor of this machine. Not written, it is a quarter
	// of Connections.
	ConnectionsPerAddress int64    `yaml:"connections_per_address"`
	UploadsPerPrincipal   int64    `yaml:"uploads_per_principal"`  // requests that send something, at once
	SessionsPerPrincipal  int64    `yaml:"sessions_per_principal"` // OCI upload sessions that are open
	MinimumRateBytes      int64    `yaml:"minimum_rate_bytes"`     // slowest transfer, bytes a second; 0 is no limit
	Idle                  Duration `yaml:"idle"`                   // longest silence of a client in a transfer
}

// Buffers divides BufferedBytes between the transfers' own buffers and those in
// which s3 backends keep parts of objects until they are sent, all of them
// together. The two must be apart: a transfer holds some of its own while it
// waits for a backend.
func (c *Config) Buffers() (transfers, parts int64) {
	if !slices.ContainsFunc(c.Backends, func(b Backend) bool { return b.Type == S3 }) {
		return c.Limits.BufferedBytes, 0
	}
	transfers = c.Limits.BufferedBytes / 4
	return transfers, c.Limits.BufferedBytes - transfers
}
