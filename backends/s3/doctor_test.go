package s3

import (
	"context"
	"strings"
	"testing"
	"time"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/aws/aws-sdk-go-v2/aws"

	"artifactstore/backends/doctor"
	"artifactstore/backends/s3/s3test"
)

func TestDoctor(t *testing.T) {
	for _, server := range s3test.All(t) {
		prefix := s3test.Prefix()
		o := options(server, prefix)
		o.StorageClass = "STANDARD"
		b := openBackend(t, o)
		rows := doctor.Examine(t.Context(), b, time.Minute)
		if !doctor.Kept(rows) || len(rows) != 25 {
			t.Errorf("%s: %d rows, the contract is not kept", server.Name, len(rows))
		}
		for _, r := range rows {
			t.Logf("%-10s %-55s %-4s %s %s", server.Name, r.Probe, r.Verdict, r.Result, r.Explanation)
			if r.Verdict != doctor.OK && r.Explanation == "" || r.Result == "" {
				t.Errorf("%s: %s: says too little", server.Name, r.Probe)
			}
		}
		if rest := append(leftovers(t, server, prefix), keys(t, server, prefix+"/doctor")...); len(rest) > 0 {
			t.Errorf("%s: left behind: %q", server.Name, rest)
		}
	}
}

func TestDoctorStopsAtTheDoor(t *testing.T) {
	o := options(s3test.Fake(t), "p")
	o.Bucket = "other"
	rows := doctor.Examine(t.Context(), openBackend(t, o), time.Minute)
	if len(rows) != 1 || doctor.Kept(rows) || !strings.Contains(rows[0].Explanation, "does not exist") {
		t.Errorf("got %+v", rows)
	}
}

// TestDoctorSeesRulesThatExpire sets a lifecycle rule on a bucket of its own.
func TestDoctorSeesRulesThatExpire(t *testing.T) {
	if testing.Short() {
		t.Log("gofakes3 has no lifecycle rules")
		return
	}
	server := s3test.RGW(t)
	client, ctx := raw(server), context.WithoutCancel(t.Context())
	server.Bucket = s3test.Prefix()
	if _, err := client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: &server.Bucket}); err != nil {
		t.Fatal(err)
	}
	p := &prober{b: openBackend(t, options(server, "prod"))}
	for _, c := range []struct {
		prefix string
		days   int32
		want   doctor.Verdict
	}{
		{"prod/", 3, doctor.Fail}, {"pro", 3, doctor.Fail}, {"", 3, doctor.Fail}, {"prod/sha256/", 3, doctor.Fail}, {"test/", 3, doctor.Warn}, {"", 0, doctor.OK},
	} {
		rule := types.LifecycleRule{ID: aws.String("r"), Status: types.ExpirationStatusEnabled, Filter: &types.LifecycleRuleFilter{Prefix: aws.String(c.prefix)}}
		if c.days > 0 {
			rule.Expiration = &types.LifecycleExpiration{Days: &c.days}
		} else {
			rule.AbortIncompleteMultipartUpload = &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(3)}
		}
		if _, err := client.PutBucketLifecycleConfiguration(ctx, &awss3.PutBucketLifecycleConfigurationInput{
			Bucket: &server.Bucket, LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{rule}},
		}); err != nil {
			t.Fatal(err)
		}
		if result, v, why := p.lifecycle(ctx); v != c.want {
			t.Errorf("rule for %q: %s, %s %s; want %s", c.prefix, v, result, why, c.want)
		}
	}
}
