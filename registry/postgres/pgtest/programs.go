package pgtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// install is the command that brings the programs to a Debian machine.
var install = []string{"apt-get", "install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", "postgresql"}

// programs returns the folder of the newest server's programs, which it installs
// where it may.
func programs() (string, error) {
	if bin := find(); bin != "" {
		return bin, nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return "", fmt.Errorf("PostgreSQL's programs initdb and postgres are not installed: run `sudo apt-get install postgresql`, or set %s to the URL of a server", Env)
	}
	fmt.Fprintf(os.Stderr, "pgtest: PostgreSQL is not installed; running %q\n", install)
	cmd := exec.Command(install[0], install[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%q: %w", install, err)
	}
	if bin := find(); bin != "" {
		return bin, nil
	}
	return "", errors.New("PostgreSQL was installed, but no /usr/lib/postgresql/*/bin/initdb is there")
}

// find returns the folder of the newest version in Debian's place, or of the
// initdb on the path, or "".
func find() string {
	newest, bin := 0, ""
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	for _, p := range dirs {
		dir := filepath.Dir(p)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && v > newest {
			newest, bin = v, dir
		}
	}
	if bin == "" {
		if p, err := exec.LookPath("initdb"); err == nil {
			bin = filepath.Dir(p)
		}
	}
	return bin
}
