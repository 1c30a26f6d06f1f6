package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxSecret bounds a file that url_ref names, in bytes.
const maxSecret = 64 << 10

// Address is the registry's URL: the one written, or the one that url_ref names
// in env or in a file, without the white space around it. It is a secret where
// it came from url_ref, and no error repeats it.
func (r Registry) Address(env []string) (string, error) {
	if r.URLRef == "" {
		return r.URL, nil
	}
	text, err := resolve(r.URLRef, env)
	if err != nil {
		return "", fmt.Errorf("registry.url_ref: %w", err)
	}
	if err := checkRegistryURL(text); err != nil {
		return "", fmt.Errorf("registry.url_ref: the url in %s %w", r.URLRef, err)
	}
	return text, nil
}

// resolve reads what a reference names.
func resolve(ref string, env []string) (string, error) {
	if name, ok := strings.CutPrefix(ref, "env:"); ok {
		value := lookup(env, name)
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return strings.TrimSpace(value), nil
	}
	f, err := os.Open(strings.TrimPrefix(ref, "file:"))
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	return strings.TrimSpace(string(text)), err
}

// lookup is the value of a variable in env, the last one where it is set twice.
func lookup(env []string, name string) (value string) {
	for _, entry := range env {
		if n, v, _ := strings.Cut(entry, "="); n == name {
			value = v
		}
	}
	return value
}

// checkRegistryURL names the scheme of a URL and no more of it: the rest may
// hold a password.
func checkRegistryURL(url string) error {
	scheme, path, found := strings.Cut(url, ":")
	switch {
	case url == "":
		return errors.New("is empty; want sqlite:PATH")
	case !found:
		return errors.New("has no scheme; want sqlite:PATH")
	case scheme != "sqlite":
		return fmt.Errorf("has the scheme %s, which is not supported by this version; want sqlite:PATH", quote(scheme))
	case path == "":
		return errors.New("has no path; want sqlite:PATH")
	case strings.HasPrefix(path, ":memory:"):
		return errors.New("is in memory and would be lost with the process; want sqlite:PATH")
	}
	return nil
}

// checkReference does not repeat the text: who writes a literal here writes a
// secret.
func checkReference(ref string) error {
	name, isEnv := strings.CutPrefix(ref, "env:")
	file, isFile := strings.CutPrefix(ref, "file:")
	switch {
	case isEnv && name != "" && !strings.ContainsAny(name, "= "):
		return nil
	case isFile && filepath.IsAbs(file):
		return nil
	}
	return errors.New("is not a reference; want env:NAME or file:/path, never the secret itself")
}
