// Package prometheus holds the alert rules and a configuration for Prometheus,
// and tests them and the dashboard of deploy/grafana with Debian's promtool and a real
// Prometheus that scrapes a real gateway.
package prometheus

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/deploy/privateca"
)

// patience bounds what another process takes, on a machine with much else to do.
const patience = 60 * time.Second

// tool returns the path of one of Debian's programs, which install.sh brings.
func tool(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs("../../bin/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	install := exec.Command("./install.sh", dir)
	install.Stdout, install.Stderr = os.Stderr, os.Stderr
	if err := install.Run(); err != nil {
		t.Fatalf("install.sh: %v", err)
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	return filepath.Join(dir, "usr/bin", name)
}

// promtool finds the files right, and the rules do what their tests say.
func TestRules(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Debian's prometheus, which -short does not fetch")
	}
	promtool := tool(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "artifactstore.rules.yml"},
		{"check", "config", "prometheus.yml"},
		{"test", "rules", "artifactstore.rules.test.yml"},
	} {
		if out, err := exec.Command(promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	rules, tests := read(t, "artifactstore.rules.yml"), read(t, "artifactstore.rules.test.yml")
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(tests, "\n      - alertname: "+alert[1]+"\n") {
			t.Errorf("no test demands that %s fires", alert[1])
		}
	}
}

// Every metric that a rule or the dashboard names is one of a gateway that has had
// a request.
func TestMetricsExist(t *testing.T) {
	g := serveTLS(t)
	g.put(t, "something", "standard")
	named := regexp.MustCompile(`\b(artifactstore|process|go)_[a-z_]+\b`)
	for _, name := range []string{"artifactstore.rules.yml", "../grafana/artifactstore.json"} {
		found := named.FindAllString(read(t, name), -1)
		if len(found) < 8 {
			t.Errorf("%s names %q only", name, found)
		}
		for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) { // background work is shown when it was done once
			shown := g.metrics(t)
			missing := slices.DeleteFunc(slices.Clone(found), func(metric string) bool { return shown[metric] })
			if len(missing) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Errorf("%s names %q, which a gateway does not show", name, missing)
				break
			}
		}
	}
}

// metrics are the names that a gateway shows.
func (g *gateway) metrics(t *testing.T) map[string]bool {
	t.Helper()
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(\w+)[{ ]`).FindAllStringSubmatch(g.text(t, "/metrics"), -1) {
		shown[m[1]] = true
	}
	return shown
}

// A Prometheus that scrapes a gateway raises the alert when verification has found
// a failed location, names the backend, and lowers it after the repair. Every query
// of the dashboard is one that it can answer.
func TestAlert(t *testing.T) {
	if testing.Short() {
		t.Skip("needs Debian's prometheus, which -short does not fetch")
	}
	g := serve(t)
	for i := range 5 {
		g.put(t, fmt.Sprint("content ", i), "standard")
	}
	digest := g.put(t, "content 3", "release") // on copy too
	p := scrape(t, g)
	p.await(t, "it scrapes the gateway", func() bool { return p.value(t, `artifactstore_locations{backend="main",state="stored"}`) == "5" })
	if firing := p.firing(t); len(firing) != 0 {
		t.Errorf("before anything is wrong: %q", firing)
	}
	p.queries(t)

	key := "main/sha256/" + digest[7:9] + "/" + digest[9:11] + "/" + digest[7:]
	if err := os.WriteFile(filepath.Join(g.dir, key), []byte("content 4"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run(t, 3, "storage", "verify", "--backend", "main")
	p.await(t, "the alert fires", func() bool { return slices.Contains(p.firing(t), "ArtifactstoreLocationFailed main critical") })
	g.run(t, 0, "storage", "repair")
	p.await(t, "the alert is over", func() bool { return len(p.firing(t)) == 0 })
	g.run(t, 0, "storage", "verify", "--backend", "main")
	if n := p.value(t, `ALERTS{alertname="ArtifactstoreLocationFailed"}`); n != "" {
		t.Errorf("the alert is still there: %s", n)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gateway is one in a process of its own.
type gateway struct {
	program, dir, url string
	via               *http.Client
}

// serve builds the program and starts a gateway with two backends.
func serve(t *testing.T) *gateway {
	t.Helper()
	return (&gateway{dir: t.TempDir(), via: http.DefaultClient}).start(t, "")
}

// serveTLS starts one that encrypts.
func serveTLS(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{dir: t.TempDir()}
	a, err := privateca.New("tests")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := a.Issue(privateca.Wish{})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"tls.crt": pair.Certificate, "tls.key": pair.Key} {
		if err := os.WriteFile(filepath.Join(g.dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.via = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool()}}}
	t.Cleanup(g.via.CloseIdleConnections)
	return g.start(t, fmt.Sprintf("tls: {certificate_ref: file:%[1]s/tls.crt, key_ref: file:%[1]s/tls.key}\n", g.dir))
}

func (g *gateway) start(t *testing.T, more string) *gateway {
	t.Helper()
	g.program = filepath.Join(g.dir, "artifactstore")
	if out, err := exec.Command("go", "build", "-o", g.program, "artifactstore/cmd/artifactstore").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	const config = `listen: 127.0.0.1:0
backends: [{id: main, type: local, root: main}, {id: copy, type: local, root: copy}]
routing: {default: main, rules: [{retention_class: release, backend: copy}]}
`
	if err := os.WriteFile(filepath.Join(g.dir, "artifactstore.yaml"), []byte(config+more), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := g.command("serve", "--no-access-log")
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			var said struct{ Msg, Address string }
			if json.Unmarshal(lines.Bytes(), &said) == nil && said.Msg == "serving" {
				address <- said.Address
			}
		}
		cmd.Wait()
	}()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	select {
	case g.url = <-address:
	case <-ended:
		t.Fatal("the gateway does not serve")
	case <-time.After(patience):
		t.Fatal("the gateway does not begin to serve")
	}
	return g
}

func (g *gateway) command(args ...string) *exec.Cmd {
	cmd := exec.Command(g.program, append(args, "--config", "artifactstore.yaml")...)
	cmd.Dir = g.dir
	return cmd
}

// run runs a command and demands its exit status.
func (g *gateway) run(t *testing.T, status int, args ...string) {
	t.Helper()
	out, err := g.command(args...).CombinedOutput()
	got := 0
	if exit, ok := err.(*exec.ExitError); ok {
		got = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	if got != status {
		t.Fatalf("%v: exit status %d, want %d:\n%s", args, got, status, out)
	}
}

// put stores content and returns its digest.
func (g *gateway) put(t *testing.T, content, class string) string {
	t.Helper()
	resp, err := g.via.Post(g.url+"/v1/blobs?retention_class="+class, "text/plain", strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var stored struct{ Digest string }
	if err := json.NewDecoder(resp.Body).Decode(&stored); err != nil || stored.Digest == "" {
		t.Fatalf("put: %s %v", resp.Status, err)
	}
	return stored.Digest
}

func (g *gateway) text(t *testing.T, path string) string { return get(t, g.via, g.url+path) }

func get(t *testing.T, via *http.Client, url string) string {
	t.Helper()
	resp, err := via.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s %v: %s", url, resp.Status, err, text)
	}
	return string(text)
}

// server is a Prometheus.
type server struct{ url string }

// scrape starts a Prometheus that looks at a gateway, and at the rules, every second.
func scrape(t *testing.T, g *gateway) *server {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("artifactstore.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer(
		"30s", "1s",
		"artifactstore.rules.yml", rules,
		"127.0.0.1:8080", strings.TrimPrefix(g.url, "http://"),
	).Replace(read(t, "prometheus.yml"))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.20.0.2:0") // a port that is free, where nobody else takes it meanwhile
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(tool(t, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus says:\n%s", log.String())
		}
	})
	p := &server{"http://" + address}
	p.await(t, "Prometheus is ready", func() bool {
		resp, err := http.Get(p.url + "/-/ready")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == 200
	})
	return p
}

func (p *server) await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("it never came to that %s", what)
}

// value is that of the one series that a query gives, "" for none.
func (p *server) value(t *testing.T, query string) string {
	t.Helper()
	var answer struct {
		Data struct{ Result []struct{ Value []any } }
	}
	text := get(t, http.DefaultClient, p.url+"/api/v1/query?query="+url.QueryEscape(query))
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}

// firing are the alerts that fire: "name backend severity".
func (p *server) firing(t *testing.T) (all []string) {
	t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if err := json.Unmarshal([]byte(get(t, http.DefaultClient, p.url+"/api/v1/alerts")), &answer); err != nil {
		t.Fatal(err)
	}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			all = append(all, a.Labels["alertname"]+" "+a.Labels["backend"]+" "+a.Labels["severity"])
		}
	}
	return all
}

// queries asks every query of the dashboard.
func (p *server) queries(t *testing.T) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "../grafana/artifactstore.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) < 10 {
		t.Errorf("the dashboard has %d panels", len(dashboard.Panels))
	}
	variables := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			p.value(t, variables.Replace(target.Expr))
		}
	}
}
