package ops

import (
	"errors"
	"strings"
	"testing"
	"time"

	"artifactstore/cas"
	"artifactstore/gateway/problem"
)

func TestParseVerification(t *testing.T) {
	for text, want := range map[string]cas.VerifyOptions{
		"":                       {Sample: 1},
		"{}":                     {Sample: 1},
		`{"sample":0.05}`:        {Sample: 0.05},
		`{"older_than":"30d"}`:   {Sample: 1, OlderThan: 720 * time.Hour},
		`{"older_than":"1h30m"}`: {Sample: 1, OlderThan: 90 * time.Minute},
		`{"repair":true,"bytes_per_second":5,"concurrency":64}`: {Sample: 1, Repair: true, BytesPerSecond: 5, Concurrency: 64},
	} {
		got, err := parseVerification([]byte(text))
		if err != nil || got.Sample != want.Sample || got.OlderThan != want.OlderThan || got.Repair != want.Repair ||
			got.BytesPerSecond != want.BytesPerSecond || got.Concurrency != want.Concurrency {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"null x", "[]", `{"sample":0}`, `{"sample":2}`, `{"older_than":"-1h"}`, `{"older_than":"1.5d"}`, `{"older_than":"99999999999d"}`,
		`{"older_than":"x"}`, `{"bytes_per_second":-1}`, `{"concurrency":65}`, `{"unknown":1}`, `{} {}`, `{`,
		"null", "{}]", "{}x", `{"sample":0.1,"sample":0.2}`, `{"sample":0.1,"s\u0061mple":0.2}`, `{"Sample":0.1}`, "{\"sample\":0.1,\"\xff\":1}", `{"sample":1,}`, `{"sample"}`,
		`{"repair":` + strings.Repeat("[", 4000) + "}",
	} {
		if got, err := parseVerification([]byte(text)); !errors.As(err, new(*problem.Problem)) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

// What is taken is within its limits; what is not has an answer of its own.
func FuzzVerification(f *testing.F) {
	f.Add(`{"sample":0.05,"older_than":"30d","repair":true,"bytes_per_second":1000,"concurrency":4}`)
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseVerification([]byte(text))
		var p *problem.Problem
		switch {
		case errors.As(err, &p):
			if p.Status != 400 || p.Code != "request_invalid" || len(p.Detail) > 5000 {
				t.Errorf("%+v", p)
			}
		case err != nil:
			t.Errorf("no answer to %v", err)
		case !(o.Sample > 0 && o.Sample <= 1), o.OlderThan < 0, o.BytesPerSecond < 0, o.Concurrency < 0, o.Concurrency > 64:
			t.Errorf("%+v", o)
		}
	})
}
