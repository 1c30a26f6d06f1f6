package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReferenceIsReadAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "secret")
	ref := Reference("file:" + name)
	for _, secret := range []string{"one", "two"} {
		if err := os.WriteFile(name, []byte(" "+secret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ref.Read(nil); got != secret || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, secret)
		}
	}
	env := []string{"A=first", "B=x", "A=last"}
	if got, err := Reference("env:A").Read(env); got != "last" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestReferenceToNothing(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) Reference {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return Reference("file:" + name)
	}
	for _, ref := range []Reference{
		"env:NOT_SET", "env:EMPTY", Reference("file:" + dir + "/none"), Reference("file:" + dir),
		write("empty", []byte(" \n")), write("large", make([]byte, maxSecret+1)),
	} {
		if got, err := ref.Read([]string{"EMPTY= "}); err == nil {
			t.Errorf("%s is %q", ref, got)
		}
	}
}

func TestRegistryAddress(t *testing.T) {
	r := Registry{URLRef: "env:U"}
	if got, err := r.Address([]string{"U= postgres://u:p@h/d\n"}); got != "postgres://u:p@h/d" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	_, err := r.Address([]string{"U=mysql://u:hunter2@h/d"})
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "registry.url_ref") {
		t.Errorf("a url that is not supported: %v", err)
	}
	if _, err := r.Address(nil); err == nil {
		t.Error("a variable that is not set is a registry")
	}
	if got := r.String(); got != "the url in env:U" {
		t.Errorf("shown as %q", got)
	}
}
