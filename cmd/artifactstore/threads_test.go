package main

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"artifactstore/gateway/process"
)

// A gateway runs more threads than there are processors, or as many as it is told.
func TestThreads(t *testing.T) {
	for env, want := range map[string]int{"GOMAXPROCS=": process.SlotsPerProcessor * runtime.GOMAXPROCS(0), "GOMAXPROCS=3": 3} {
		s := start(t, shipped(t), t.TempDir(), env)
		answer, err := http.Get(s.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if line := fmt.Sprintf("\ngo_sched_gomaxprocs_threads %d\n", want); err != nil || !strings.Contains(string(metrics), line) {
			t.Errorf("with %s, /metrics has no %q: %v", env, line, err)
		}
	}
}
