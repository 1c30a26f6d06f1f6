package s3

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"artifactstore/backends"
	"artifactstore/backends/s3/s3test"
)

const (
	benchBytes = 256 << 20
	benchChunk = 8 << 20
)

func benchBackend(b *testing.B) (*Backend, s3test.Server) {
	server := s3test.RGW(b)
	o := options(server, s3test.Prefix())
	o.MultipartThreshold, o.MultipartChunk, o.Memory = 16<<20, benchChunk, NewMemory(256<<20)
	return openBackend(b, o), server
}

// BenchmarkUpload sends 256 MiB to RGW in parts of 8 MiB, four at once: through
// the backend, to a known key and to an unknown one, and with the bare SDK.
func BenchmarkUpload(b *testing.B) {
	backend, server := benchBackend(b)
	block := content(1<<20, 9)
	for name, hint := range map[string]backends.Hint{"known": {Key: "k", Size: benchBytes}, "unknown": {Size: -1}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchBytes)
			for b.Loop() {
				u, err := backend.Begin(b.Context(), hint)
				if err != nil {
					b.Fatal(err)
				}
				for range benchBytes / len(block) {
					if _, err := u.Write(block); err != nil {
						b.Fatal(err)
					}
				}
				if err := u.Commit(b.Context(), "k"); err != nil {
					b.Fatal(err)
				}
				u.Close()
			}
		})
	}
	b.Run("bare", func(b *testing.B) {
		b.SetBytes(benchBytes)
		for b.Loop() {
			bare(b, server, bytes.Repeat(block, benchChunk/len(block)))
		}
	})
}

func bare(b *testing.B, server s3test.Server, chunk []byte) {
	client, bucket, key := raw(server), &server.Bucket, aws.String("bare")
	m, err := client.CreateMultipartUpload(b.Context(), &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		b.Fatal(err)
	}
	parts := make([]types.CompletedPart, benchBytes/benchChunk)
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i := range parts {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			n := aws.Int32(int32(i + 1))
			out, err := client.UploadPart(b.Context(), &awss3.UploadPartInput{Bucket: bucket, Key: key, UploadId: m.UploadId, PartNumber: n, Body: bytes.NewReader(chunk)})
			if err != nil {
				b.Error(err)
				return
			}
			parts[i] = types.CompletedPart{PartNumber: n, ETag: out.ETag}
		})
	}
	all.Wait()
	if _, err := client.CompleteMultipartUpload(b.Context(), &awss3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: m.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDownload reads 256 MiB from RGW, through the backend and with the
// bare SDK.
func BenchmarkDownload(b *testing.B) {
	backend, server := benchBackend(b)
	if err := commit(b.Context(), backend, "k", backends.Hint{Size: -1}, bytes.Repeat([]byte("artifact"), benchBytes/8)); err != nil {
		b.Fatal(err)
	}
	b.Run("backend", func(b *testing.B) {
		b.SetBytes(benchBytes)
		for b.Loop() {
			r, err := backend.Open(b.Context(), "k", 0, -1)
			if err != nil {
				b.Fatal(err)
			}
			drain(b, r)
		}
	})
	b.Run("bare", func(b *testing.B) {
		client := raw(server)
		b.SetBytes(benchBytes)
		for b.Loop() {
			out, err := client.GetObject(b.Context(), &awss3.GetObjectInput{Bucket: &server.Bucket, Key: aws.String(backend.prefix + "k")})
			if err != nil {
				b.Fatal(err)
			}
			drain(b, out.Body)
		}
	})
}

func drain(b *testing.B, r io.ReadCloser) {
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r, make([]byte, 256<<10))
	if err != nil || n != benchBytes {
		b.Fatalf("read %d bytes, error %v", n, err)
	}
	r.Close()
}
