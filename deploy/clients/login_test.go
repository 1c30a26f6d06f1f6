package clients_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestClientsLogIn has each client log in to gateways that ask who one is, over TLS
// with a certificate of a private authority, which is the only one that the client
// is told of.
//
//	writer  a token of the gateway          pull and push everything
//	reader  a name and password (htpasswd)  pull everything
//	nobody  no credentials                  nothing; on the second gateway pull of /*/open
//
// The writer pushes and pulls; the reader pulls, and what he pushes is refused at
// once; so is what nobody pulls, until auth.anonymous grants it.
func TestClientsLogIn(t *testing.T) {
	if testing.Short() {
		t.Skip("make clients and make test run the real clients")
	}
	w := newSecured(t)
	for _, c := range loginClients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, w)
		})
	}
	t.Run("curl", func(t *testing.T) { t.Parallel(); curlLogsIn(t, w) })
	t.Run("artifactstore", func(t *testing.T) { t.Parallel(); artifactstoreLogsIn(t, w) })
}

// What a client must say, in its own words, where it is not let in, and where it may
// not do what it wants: a token that carries too little is answered 401 on /v2/, as
// its protocol of tokens has it. Before all that, where it does not know the authority.
var (
	mistrusted = regexp.MustCompile(`certificate problem|certificate signed by unknown authority|authority that this machine does not trust`)

	wrong   = regexp.MustCompile(`(?i)unauthorized|401|invalid username/password|not (valid|good)`)
	unknown = regexp.MustCompile(`(?i)unauthorized|401|authentication required|needs credentials|denied`)
	denied  = regexp.MustCompile(`(?i)denied|403|forbidden|unauthorized`)
)

// refusedTime bounds how long a client may take to say that it was refused: one that
// tries again and again was not told why.
const refusedTime = 30 * time.Second

// refused fails the test unless a command, which may read a password, fails at once
// and says why.
func (s shell) refused(stdin string, why *regexp.Regexp, format string, args ...any) {
	s.t.Helper()
	cmd := s.command(fmt.Sprintf(format, args...))
	cmd.Stdin = strings.NewReader(stdin)
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	if err == nil || !why.Match(out) || time.Since(begun) > refusedTime {
		s.t.Errorf("%s: %v after %s, want %s:\n%s", cmd, err, time.Since(begun), why, out)
	}
}

// enter runs a command that reads a password.
func (s shell) enter(password, format string, args ...any) {
	s.t.Helper()
	cmd := s.command(fmt.Sprintf(format, args...))
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// curlLogsIn puts a file into packages and gets it back.
func curlLogsIn(t *testing.T, w *secured) {
	const source = "/usr/share/common-licenses/GPL-3"
	s := w.trusting(t, w.ca)
	t.Log(strings.SplitN(s.run("curl --version"), "\n", 2)[0])
	content, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	s.write("writer", fmt.Sprintf("user = %q\n", writer+":"+w.token))
	s.write("bearer", fmt.Sprintf("oauth2-bearer = %q\n", w.token))
	s.write("reader", fmt.Sprintf("user = %q\n", reader+":"+password))
	s.write("wrong", fmt.Sprintf("user = %q\n", reader+":"+w.token[1:]))
	curl := "curl --silent --show-error --fail-with-body --cacert " + w.ca
	file := func(host, name string) string {
		return "https://" + host + "/v1/packages/curl/" + name + "/1.0/files/licence"
	}
	gets := func(options, url string) {
		t.Helper()
		s.run("%s %s --output copy %s", curl, options, url)
		if got, err := os.ReadFile(filepath.Join(s.dir, "copy")); err != nil || digestOf(got) != digestOf(content) {
			t.Errorf("%s: %d bytes, want %d: %v", url, len(got), len(content), err)
		}
	}
	s.refused("", mistrusted, "curl --silent --show-error --cacert %s https://%s/readyz", w.otherCA, w.gateway)
	s.refused("", unknown, "%s -T %s %s", curl, source, file(w.gateway, "closed"))
	s.refused("", unknown, "%s -K wrong -T %s %s", curl, source, file(w.gateway, "closed"))
	for _, name := range []string{"closed", "open"} {
		s.run("%s -K writer -T %s %s", curl, source, file(w.gateway, name))
		gets("-K writer", file(w.gateway, name))
	}
	gets("-K bearer", file(w.gateway, "closed"))
	gets("-K reader", file(w.gateway, "closed"))
	s.refused("", denied, "%s -K reader -T %s %s", curl, source, file(w.gateway, "of-reader"))
	s.refused("", denied, "%s -K writer -T /usr/share/common-licenses/GPL-2 %s", curl, file(w.gateway, "closed")) // it may not overwrite
	gets("-K writer", file(w.gateway, "closed"))
	s.refused("", unknown, "%s %s", curl, file(w.gateway, "open"))
	gets("", file(w.public, "open"))
	gets("", "https://"+w.public+"/v1/blobs/"+digestOf(content))
	s.refused("", unknown, "%s %s", curl, file(w.public, "closed"))
}

// artifactstoreLogsIn pushes a folder and pulls it back with the gateway's own client.
func artifactstoreLogsIn(t *testing.T, w *secured) {
	s, source := w.trusting(t, w.ca), w.images.app.dir
	s.env = append(s.env, "ARTIFACTSTORE_CREDENTIALS="+filepath.Join(t.TempDir(), "credentials.json"), "ARTIFACTSTORE_SERVER=https://"+w.gateway)
	pull := func(server, name string) {
		t.Helper()
		back := t.TempDir()
		s.run("%s --server https://%s pull %s %s/back", w.program, server, name, back)
		s.run("diff -r %s %s/back", source, back)
	}
	stranger := w.trusting(t, w.otherCA)
	stranger.refused(w.token, mistrusted, "%s login https://%s --password-stdin", w.program, w.gateway)
	s.refused("wrong"+w.token, wrong, "%s login --password-stdin", w.program)
	s.refused("", unknown, "%s push --package artifactstore/closed/1.0 %s", w.program, source)

	s.enter(w.token+"\n", "%s login --password-stdin", w.program)
	for _, name := range []string{"closed", "open"} {
		s.run("%s push --package artifactstore/%s/1.0 %s", w.program, name, source)
		pull(w.gateway, "artifactstore/"+name+"/1.0")
	}
	s.run("%s logout", w.program)

	s.enter(password+"\n", "%s login --user %s --password-stdin", w.program, reader)
	pull(w.gateway, "artifactstore/closed/1.0")
	s.refused("", denied, "%s push --package artifactstore/of-reader/1.0 %s", w.program, source)
	s.run("%s logout", w.program)

	s.refused("", unknown, "%s pull artifactstore/open/1.0 back", w.program)
	pull(w.public, "artifactstore/open/1.0")
	s.refused("", unknown, "%s --server https://%s pull artifactstore/closed/1.0 back", w.program, w.public)
}
