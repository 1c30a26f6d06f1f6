package problem_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/problem"
)

// Who is not let in is told how to be, or when; who is known and may not, neither.
func TestAnswersOfTheGate(t *testing.T) {
	for name, tc := range map[string]struct {
		err        error
		status     int
		challenge  string
		retryAfter string
		code       string
	}{
		"nobody":   {&auth.Refused{Verb: auth.Pull, Resource: "a", Unauthenticated: true}, 401, "Bearer", "", "unauthorized"},
		"wrong":    {auth.ErrCredentials, 401, "Bearer", "", "unauthorized"},
		"may not":  {&auth.Refused{Verb: auth.Pull, Resource: "a"}, 403, "", "", "forbidden"},
		"too fast": {&auth.Slowed{For: 1500 * time.Millisecond}, 429, "", "2", "too_many_attempts"},
	} {
		p := problem.Of(tc.err)
		if p == nil {
			t.Errorf("%s: no answer", name)
			continue
		}
		w := httptest.NewRecorder()
		p.Write(w)
		challenge := strings.Join(w.Header().Values("WWW-Authenticate"), ", ")
		if w.Code != tc.status || !strings.HasPrefix(challenge, tc.challenge) || (challenge == "") != (tc.challenge == "") {
			t.Errorf("%s: %d, challenge %q", name, w.Code, challenge)
		}
		if got := w.Header().Get("Retry-After"); got != tc.retryAfter || !strings.Contains(w.Body.String(), `"code":"`+tc.code+`"`) {
			t.Errorf("%s: Retry-After %q, %s", name, got, w.Body)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: may be cached", name)
		}
	}
}
