package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// authOnly is the name of the rows that measure what asking who one is costs.
const authOnly = "auth"

// authToken and readerToken are credentials of a gateway that lives as long as a
// measurement: one may do everything, the other reads what one producer has.
const (
	authToken   = "ast_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	readerToken = "ast_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA"
)

// authConfig is a gateway's that lets in these two.
const authConfig = `auth:
  mode: tokens
  tokens:
    - {name: bench, token_sha256_ref: "file:DIR/bench.sha256", allow: ["*:*"]}
    - {name: reader, token_sha256_ref: "file:DIR/reader.sha256", allow: ["pull:team"]}
`

// measureAuth sets a gateway that asks who everybody is beside one that does not.
// Who may read everything pays for the token; who may read only what a producer has
// pays besides for finding out whether the blob is among that, which has no target.
func measureAuth(o options, program, dir string) (ok bool, err error) {
	off, err := startServer("auth off", filepath.Join(dir, "auth-off"), "/livez", program, "serve")
	if err != nil {
		return false, err
	}
	defer off.stop()
	on, err := startAuth(filepath.Join(dir, "auth-on"), program)
	if err != nil {
		return false, err
	}
	defer on.stop()
	reader := *on
	on.fields, reader.fields = bearer(authToken), bearer(readerToken)
	w := newWorkload(o)
	path := "/v1/packages/team/app/1/files/small"
	for _, s := range []*server{on, off} {
		if err := w.smallFile(s, path); err != nil {
			return false, err
		}
	}
	w.large[&reader] = w.large[on]
	ok = true
	for _, r := range []struct {
		row
		gw *server
	}{
		{row{"HEAD of 4 KiB, 32 clients, a token that may do everything (reference: auth off)", "HEAD", w.smallReads("HEAD"), []goal{rateAtLeast(0.9)}}, on},
		{row{"GET of 4 KiB, 32 clients, a token that may do everything (reference: auth off)", "GET", w.smallReads("GET"), []goal{rateAtLeast(0.9)}}, on},
		{row{"HEAD of 4 KiB, 32 clients, a token that reads one producer's (reference: auth off)", "HEAD", w.smallReads("HEAD"), []goal{rateAtLeast(0)}}, &reader},
		{row{"GET of 4 KiB, 32 clients, a token that reads one producer's (reference: auth off)", "GET", w.smallReads("GET"), []goal{rateAtLeast(0)}}, &reader},
	} {
		met, err := measure(o, r.row, r.gw, off)
		if err != nil {
			return false, err
		}
		ok = ok && met
	}
	return ok, nil
}

// startAuth starts a gateway that lets in two tokens, whose hashes are files beside it.
func startAuth(dir, program string) (*server, error) {
	err := os.MkdirAll(dir, 0o755)
	for name, text := range map[string]string{
		"config.yaml": strings.ReplaceAll(authConfig, "DIR", dir), "bench.sha256": hash(authToken), "reader.sha256": hash(readerToken),
	} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if err != nil {
		return nil, err
	}
	return startServer("auth on", dir, "/livez", program, "serve", "--config", "config.yaml")
}

func bearer(token string) string { return "Authorization: Bearer " + token + "\r\n" }

func hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// smallFile puts a file of 4 KiB into a package and remembers the blob's path.
func (w *workload) smallFile(s *server, path string) error {
	c, err := dial(s.address)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.do("PUT", path, s.fields, w.random[:small]); err != nil {
		return err
	}
	a, err := c.do("POST", "/v1/blobs", s.fields, w.random[:small])
	w.large[s] = a.location
	return err
}

// smallReads asks for the small file's blob.
func (w *workload) smallReads(method string) func(*server) (turn, error) {
	return func(s *server) (turn, error) {
		return w.many(s, func(c *conn, _ []byte) error {
			a, err := c.do(method, w.large[s], s.fields, nil)
			if err == nil && a.length != small {
				err = fmt.Errorf("length %d", a.length)
			}
			return err
		})
	}
}
