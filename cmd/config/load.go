package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
)

// maxFile is the largest configuration file, in bytes.
const maxFile = 1 << 20

// Load reads the file at path, or none if path is empty, lays the environment
// over it (entries of the form NAME=value, as from [os.Environ]) and checks the
// whole. The error joins one error for each mistake; each begins with the file,
// line and column or with the variable that is to be changed.
func Load(path string, env []string) (*Config, error) {
	if path == "" {
		return load("", "", env)
	}
	source, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return load(path, source, env)
}

func load(name, source string, env []string) (*Config, error) {
	c, m := Default(), newMistakes(name)
	root, ok := m.parse(source)
	if !ok {
		return nil, m.err()
	}
	if root != nil {
		m.readSection(reflect.ValueOf(c).Elem(), root, "")
	}
	m.override(c, env)
	m.complete(c)
	m.check(c)
	if err := m.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read configuration: there is no file %s: %w", path, err)
	}
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	source, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", fmt.Errorf("read configuration: %w", err)
	}
	if len(source) > maxFile {
		return "", fmt.Errorf("read configuration: %s is larger than %d bytes", path, maxFile)
	}
	return string(source), nil
}
