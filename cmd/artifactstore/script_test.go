package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the commands as a person or a build would: real processes,
// real files, real gateways on free ports. Each script has a directory of its
// own.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ARTIFACTSTORE_SERVER", "http://127.0.0.1:1") // nobody, until there is a gateway
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"gateway": scriptGateway,
			"stop":    scriptStop,
			"status":  scriptStatus,
			"json":    scriptJSON,
			"get":     scriptGet,
			"silent":  scriptSilent,
		},
	})
}

// scriptGateway starts a gateway in the script's directory and environment, with
// the flags given, and sets ARTIFACTSTORE_SERVER to its address. With "!" it must
// end by itself before it serves, and gateway.log is what it said.
func scriptGateway(ts *testscript.TestScript, neg bool, args []string) {
	program, err := exec.LookPath("artifactstore")
	ts.Check(err)
	s := &server{cmd: exec.Command(program, append([]string{"serve"}, args...)...), serving: make(chan struct{}), ended: make(chan struct{})}
	s.cmd.Dir = ts.MkAbs(".")
	s.cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "ARTIFACTSTORE_LISTEN=127.0.0.1:0"}
	for _, name := range []string{"ARTIFACTSTORE_CONFIG", "ARTIFACTSTORE_LISTEN", "ARTIFACTSTORE_LIMITS_UPLOAD_BYTES"} {
		if v := ts.Getenv(name); v != "" {
			s.cmd.Env = append(s.cmd.Env, name+"="+v)
		}
	}
	ts.Check(s.begin())
	ts.Defer(s.kill)
	err = s.wait()
	if neg {
		if err == nil {
			ts.Fatalf("the gateway serves")
		}
		ts.Logf("%v", err)
		ts.Check(os.WriteFile(ts.MkAbs("gateway.log"), []byte(s.logged()), 0o600))
		return
	}
	ts.Check(err)
	ts.Setenv("ARTIFACTSTORE_SERVER", s.url)
	running.Store(ts.Getenv("WORK"), s)
}

// running are the scripts' gateways by work directory.
var running sync.Map

// scriptStop tells the gateway to stop; it must end cleanly.
func scriptStop(ts *testscript.TestScript, _ bool, _ []string) {
	at, ok := running.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no gateway runs")
	}
	s := at.(*server)
	ts.Check(s.stop())
	ts.Check(os.WriteFile(ts.MkAbs("gateway.log"), []byte(s.logged()), 0o600))
}

// scriptStatus runs a command and demands its exit status:
//
//	status 2 artifactstore put
func scriptStatus(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if fmt.Sprint(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// scriptJSON demands that a file (or stdout) is JSON whose member, named by a
// path of names, has a value:
//
//	json stdout digests.sha256 e3b0…
func scriptJSON(ts *testscript.TestScript, _ bool, args []string) {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &v))
	for name := range strings.SplitSeq(args[1], ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(in) {
				ts.Fatalf("no element %s of %d", name, len(in))
			}
			v = in[i]
		default:
			ts.Fatalf("%s is nothing that has a %s", args[1], name)
		}
	}
	if got := fmt.Sprint(v); got != args[2] {
		ts.Fatalf("%s is %q, want %q", args[1], got, args[2])
	}
}

// scriptGet demands an HTTP status of a path of the gateway.
func scriptGet(ts *testscript.TestScript, _ bool, args []string) {
	resp, err := http.Get(ts.Getenv("ARTIFACTSTORE_SERVER") + args[0])
	ts.Check(err)
	resp.Body.Close()
	if fmt.Sprint(resp.StatusCode) != args[1] {
		ts.Fatalf("%s answers %s, want %s", args[0], resp.Status, args[1])
	}
}

// scriptSilent demands that nothing listens at the gateway's address any more.
func scriptSilent(ts *testscript.TestScript, _ bool, _ []string) {
	c, err := net.Dial("tcp", strings.TrimPrefix(ts.Getenv("ARTIFACTSTORE_SERVER"), "http://"))
	if err == nil {
		c.Close()
		ts.Fatalf("something listens")
	}
}
