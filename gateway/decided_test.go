package gateway

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"artifactstore/gateway/auth"
	"artifactstore/gateway/ops"
	"artifactstore/gateway/problem"
)

// A handler that forgot to ask what the principal may do sends nothing, however it
// goes about it.
func TestNothingIsSentUndecided(t *testing.T) {
	const secret = "the bytes"
	for what, send := range map[string]handler{
		"nothing":     func(http.ResponseWriter, *http.Request) error { return nil },
		"a status":    func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(204); return nil },
		"a redirect":  func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(307); return nil },
		"unmodified":  func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(304); return nil },
		"bytes":       func(w http.ResponseWriter, _ *http.Request) error { _, err := io.WriteString(w, secret); return err },
		"a flush":     func(w http.ResponseWriter, _ *http.Request) error { return http.NewResponseController(w).Flush() },
		"after error": func(w http.ResponseWriter, _ *http.Request) error { w.Write([]byte(secret)); return errors.New("late") },
		"a file": func(w http.ResponseWriter, _ *http.Request) error {
			f, err := os.Open("gateway.go")
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		},
	} {
		status, body, log := undecided(send)
		if status != 500 || strings.Contains(body, secret) || !strings.Contains(body, `"internal"`) {
			t.Errorf("%s: %d %s", what, status, body)
		}
		if !strings.Contains(log, errUndecided.Error()) && !strings.Contains(log, "late") {
			t.Errorf("%s: the log does not say it: %s", what, log)
		}
	}
	refused := func(http.ResponseWriter, *http.Request) error {
		return problem.New(404, "path_unknown", "nothing")
	}
	if status, _, _ := undecided(refused); status != 404 {
		t.Errorf("a refusal: %d", status)
	}
	public := func(w http.ResponseWriter, r *http.Request) error {
		auth.Public(r.Context())
		_, err := io.WriteString(w, secret)
		return err
	}
	if status, body, _ := undecided(public); status != 200 || body != secret {
		t.Errorf("once decided: %d %s", status, body)
	}
}

func undecided(send handler) (status int, body, log string) {
	var to bytes.Buffer
	l := slog.New(slog.NewTextHandler(&to, nil))
	g := &gateway{metrics: ops.NewMetrics(), log: l, access: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	g.serve("/", plainForm, send).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	return w.Code, w.Body.String(), to.String()
}
