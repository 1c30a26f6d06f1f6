//go:build !unix

package local

import (
	"errors"
	"os"
)

// create makes a file that must not be there, to write and read.
func create(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, fileMode)
}

// syncNames syncs a folder: the names in it.
func syncNames(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// rename renames a file, in place of another where there is one.
func rename(from, to string) error { return os.Rename(from, to) }
