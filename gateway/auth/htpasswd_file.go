package auth

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// maxHtpasswd bounds an htpasswd file, in bytes.
const maxHtpasswd = 4 << 20

// maxCost is the highest cost of a hash that is taken: one more doubles the time, and
// this takes seconds.
const maxCost = 16

// readHtpasswd reads a file of name:hash lines. Its errors repeat no hash.
func readHtpasswd(path string) (map[string]string, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxHtpasswd+1))
	if err != nil {
		return nil, info, err
	}
	if len(text) > maxHtpasswd {
		return nil, info, fmt.Errorf("%s is larger than %d bytes", path, maxHtpasswd)
	}
	users, err := parseHtpasswd(string(text))
	if err != nil {
		return nil, info, fmt.Errorf("%s:%w", path, err)
	}
	return users, info, nil
}

// parseHtpasswd returns the hashes by name. Empty lines, and those that begin with
// "#", say nothing.
func parseHtpasswd(text string) (map[string]string, error) {
	users := map[string]string{}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		if err := CheckName(name); err != nil {
			return nil, fmt.Errorf("%d: %w", n, err)
		}
		if _, again := users[name]; again {
			return nil, fmt.Errorf("%d: %s is there twice", n, name)
		}
		if err := checkHash(hash); err != nil {
			return nil, fmt.Errorf("%d: %s: %w", n, name, err)
		}
		users[name] = hash
	}
	return users, nil
}

var bcryptForm = regexp.MustCompile(`^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$`)

func checkHash(hash string) error {
	if !bcryptForm.MatchString(hash) {
		return errors.New("the hash is not of bcrypt, the only one taken: make it with htpasswd -B")
	}
	switch cost, err := bcrypt.Cost([]byte(hash)); {
	case err != nil:
		return errors.New("the hash is damaged")
	case cost > maxCost:
		return fmt.Errorf("the hash has cost %d: want %d at most, or every login takes seconds", cost, maxCost)
	}
	return nil
}
