package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Reference names where a secret is kept: env:NAME or file:/path. The secret
// itself is never part of a configuration.
type Reference string

// maxSecret bounds a file that a reference names, in bytes.
const maxSecret = 64 << 10

// Read returns what the reference names, in env (entries of the form NAME=value)
// or in a file, without the white space around it. It reads at every call: a
// secret that was replaced in its file holds from the next use on. Nothing there
// is an error; no error repeats a secret.
func (r Reference) Read(env []string) (string, error) {
	if name, ok := strings.CutPrefix(string(r), "env:"); ok {
		value := strings.TrimSpace(lookup(env, name))
		if value == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		return value, nil
	}
	path := strings.TrimPrefix(string(r), "file:")
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	value := strings.TrimSpace(string(text))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxSecret:
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxSecret)
	case value == "":
		return "", fmt.Errorf("%s is empty", path)
	}
	return value, nil
}

// UnmarshalText takes a reference, or nothing. Its error does not repeat the
// text: who writes a literal here writes a secret.
func (r *Reference) UnmarshalText(text []byte) error {
	name, isEnv := strings.CutPrefix(string(text), "env:")
	file, isFile := strings.CutPrefix(string(text), "file:")
	switch {
	case len(text) == 0,
		isEnv && isVariable(name),
		isFile && filepath.IsAbs(file) && !strings.ContainsFunc(file, unprintable):
		*r = Reference(text)
		return nil
	}
	return errors.New("is not a reference; want env:NAME or file:/path, never the secret itself")
}

// isVariable says whether a text can name an environment variable in a shell.
func isVariable(name string) bool {
	return name != "" && !('0' <= name[0] && name[0] <= '9') && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && !isAlphanumeric(r)
	})
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
