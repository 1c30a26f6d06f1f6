package tokenapi

import (
	"errors"
	"testing"

	"artifactstore/gateway/oci"
)

// refusal checks the answer of what was not read.
func refusal(t *testing.T, err error, statuses ...int) {
	var e *oci.Error
	if !errors.As(err, &e) || len(e.Error()) > 1000 {
		t.Errorf("no answer: %v", err)
		return
	}
	for _, s := range statuses {
		if e.Status == s {
			return
		}
	}
	t.Errorf("status %d", e.Status)
}

// A form that is read says who asks in one way.
func FuzzForm(f *testing.F) {
	f.Fuzz(func(t *testing.T, contentType, text string) {
		q, err := parseForm(contentType, text)
		switch {
		case err != nil:
			refusal(t, err, 400, 413, 415)
		case (q.refresh == "") == (q.user == "" && q.password == ""), q.refresh != "" && q.refreshing, len(text) > maxForm:
			t.Errorf("%+v", q)
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw)
		switch {
		case err != nil:
			refusal(t, err, 400)
		case q.user+q.password+q.refresh != "":
			t.Errorf("credentials from a query: %+v", q)
		}
	})
}
