package s3

import (
	"context"
	"testing"

	"artifactstore/backends"
	"artifactstore/backends/backendtest"
	"artifactstore/backends/s3/s3test"
)

// options point at a server of the tests.
func options(server s3test.Server, prefix string) Options {
	return Options{
		EndpointURL: server.EndpointURL, Region: server.Region, Bucket: server.Bucket, KeyPrefix: prefix, PathStyle: true,
		MultipartThreshold: 6 << 20, MultipartChunk: 5 << 20, Memory: NewMemory(64 << 20),
		Credentials: func(context.Context) (string, string, error) { return server.AccessKey, server.SecretKey, nil },
	}
}

func openBackend(t testing.TB, o Options) *Backend {
	t.Helper()
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestContract runs the suite with sizes around the borders between one put
// and parts, and between parts.
func TestContract(t *testing.T) {
	for _, server := range s3test.All(t) {
		t.Run(server.Name, func(t *testing.T) {
			suite := backendtest.Options{
				Sizes:  []int{4096, 5<<20 + 1, 6<<20 + 1, 12<<20 + 7},
				Splits: []int{0, 1, 4095, 5 << 20, 6<<20 + 5, 11 << 20},
				Keys:   1100, Concurrency: 4, Rounds: 8, Spoils: true,
			}
			if server.Name == "versitygw" {
				suite.Settle = settle
			}
			backendtest.Run(t, suite, func(t *testing.T) backendtest.Place {
				prefix := s3test.Prefix()
				return backendtest.Place{
					Open:      func(t *testing.T) backends.Backend { return openBackend(t, options(server, prefix)) },
					Leftovers: func() []string { return leftovers(t, server, prefix) },
				}
			})
		})
	}
}

// settle waits for the parts an upload has on their way. versitygw compares the
// ETags of the parts and then moves the files: a part that arrives in between, of a
// second process that goes on from the same state, gets into the object.
func settle(u backends.Upload) {
	if s := u.(*upload).sender; s != nil {
		s.wait(context.Background())
	}
}
