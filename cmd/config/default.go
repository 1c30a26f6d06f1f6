package config

import "time"

// Default is the configuration of a gateway that is given none: it serves this
// machine alone, from ./artifactstore-data.
func Default() *Config {
	return &Config{
		Listen:   "127.0.0.1:8080",
		Registry: Registry{URL: "sqlite:./artifactstore-data/registry.db"},
		Backends: []Backend{{ID: "local", Type: Local, Root: "./artifactstore-data/blobs"}},
		Routing:  Routing{Default: "local", Copying: Copying{Every: Duration{"1m", time.Minute}}},
		Retention: Retention{
			Default: "standard",
			Classes: map[string]Lifetime{
				"ephemeral": {Duration{"7d", 7 * day}},
				"standard":  {Duration{"90d", 90 * day}},
				"release":   {Duration{"forever", -1}},
			},
			UploadGrace: Duration{"24h", day},
			Collection: Collection{
				Every:        Duration{"10m", 10 * time.Minute},
				Grace:        Duration{"1h", time.Hour},
				OrphansEvery: Duration{"24h", day},
				OrphanAge:    Duration{"48h", 2 * day},
				RemovalWait:  Duration{"5m", 5 * time.Minute},
			},
		},
		Limits: Limits{
			ManifestBytes:         4 << 20,
			BufferedBytes:         256 << 20,
			Connections:           4096,
			ConnectionsPerAddress: 4096 / addressShare,
			UploadsPerPrincipal:   512,
			SessionsPerPrincipal:  10_000,
			MinimumRateBytes:      1 << 10,
			Idle:                  Duration{"60s", time.Minute},
		},
	}
}
