package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"artifactstore/gateway/client"
)

// credentialsFor returns the credentials for a server: a token of the environment,
// else what "login" kept for it, else none.
func credentialsFor(server *url.URL) (client.Credentials, error) {
	if token := os.Getenv("ARTIFACTSTORE_TOKEN"); token != "" {
		return client.Credentials{Token: token}, nil
	}
	kept, err := readCredentials()
	if err != nil {
		return client.Credentials{}, err
	}
	c := kept.Servers[client.Origin(server)]
	return client.Credentials{Token: c.Token, User: c.User, Password: c.Password}, nil
}

// credentialsFile is what the file of credentials holds.
type credentialsFile struct {
	Servers map[string]login `json:"servers"` // by [client.Origin]
}

// login is what is kept for one server: a token, or a name and a password.
type login struct {
	Token    string `json:"token,omitempty"`
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
}

// credentialsPath is where the file is: in the user's directory of configurations.
func credentialsPath() (string, error) {
	if path := os.Getenv("ARTIFACTSTORE_CREDENTIALS"); path != "" {
		return path, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("there is no place for credentials: %w: name a file in ARTIFACTSTORE_CREDENTIALS", err)
	}
	return filepath.Join(dir, "artifactstore", "credentials.json"), nil
}

// readCredentials refuses a file that others can read. No file is an empty one; so is
// no place for one, where nobody can have logged in.
func readCredentials() (kept credentialsFile, err error) {
	path, err := credentialsPath()
	if err != nil {
		return kept, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return kept, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return kept, fmt.Errorf("read credentials: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return kept, fmt.Errorf("read credentials: others have access to %s (mode %04o): run chmod 600 on it, and log in with new secrets if somebody may have read it", path, mode)
	}
	if err := json.NewDecoder(f).Decode(&kept); err != nil {
		return kept, fmt.Errorf("read credentials: %s is not what \"artifactstore login\" writes: %w", path, err)
	}
	return kept, nil
}

// changeCredentials changes the file as a whole, one process at a time: what is there
// at any moment is the old or the new, and nobody else's to read.
func changeCredentials(ctx context.Context, change func(servers map[string]login)) (path string, err error) {
	if path, err = credentialsPath(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return path, fmt.Errorf("keep credentials: %w", err)
	}
	unlock, err := lockCredentials(ctx, path)
	if err != nil {
		return path, fmt.Errorf("keep credentials: %w", err)
	}
	defer unlock()
	kept, err := readCredentials()
	if err != nil {
		return path, err
	}
	if kept.Servers == nil {
		kept.Servers = map[string]login{}
	}
	change(kept.Servers)
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return path, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // of mode 0600
	if err != nil {
		return path, fmt.Errorf("keep credentials: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return path, fmt.Errorf("keep credentials: %w", err)
	}
	return path, nil
}
