package s3

import (
	"context"
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"artifactstore/backends/s3/s3test"
)

// raw is an independent client, to look at what a backend left.
func raw(server s3test.Server) *awss3.Client {
	return awss3.New(awss3.Options{
		BaseEndpoint: aws.String(server.EndpointURL), Region: server.Region, UsePathStyle: true,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: server.AccessKey, SecretAccessKey: server.SecretKey}, nil
		}),
	})
}

// leftovers names the unfinished uploads under a prefix and what its staging folder holds,
// but for what Health writes.
func leftovers(t testing.TB, server s3test.Server, prefix string) (names []string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	client := raw(server)
	uploads, err := client.ListMultipartUploads(ctx, &awss3.ListMultipartUploadsInput{Bucket: &server.Bucket, Prefix: aws.String(prefix + "/")})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads.Uploads {
		names = append(names, "upload "+aws.ToString(u.Key))
	}
	for _, key := range keys(t, server, prefix+"/.staging/") {
		if !strings.HasSuffix(key, "/.staging/health") {
			names = append(names, key)
		}
	}
	return names
}

// keys lists the first thousand keys under a prefix.
func keys(t testing.TB, server s3test.Server, prefix string) (names []string) {
	t.Helper()
	page, err := raw(server).ListObjectsV2(context.WithoutCancel(t.Context()), &awss3.ListObjectsV2Input{Bucket: &server.Bucket, Prefix: &prefix})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range page.Contents {
		names = append(names, aws.ToString(o.Key))
	}
	return names
}

func certificatePEM(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
