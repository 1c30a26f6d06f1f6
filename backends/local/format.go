package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// format is what the marker says: layout and version.
const format = "artifactstore local 1\n"

// draft begins the name of a marker being written.
const draft = ".format-"

// claimRoot makes sure that the root exists, is ours and has a staging folder,
// all of it durable. Several processes may do it at once.
func (b *Backend) claimRoot(ctx context.Context) error {
	if err := b.disk.makeAll(ctx, b.root); err != nil {
		return err
	}
	for { // until a marker is there
		text, err := os.ReadFile(filepath.Join(b.root, formatName))
		if err == nil {
			if string(text) != format {
				return fmt.Errorf("its format file says %q, and this program knows only %q: another version keeps its objects here", clip(text), format)
			}
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := b.mark(ctx); err != nil {
			return err
		}
	}
	return b.disk.makeDurable(ctx, b.root, b.staging)
}

// mark writes the marker into a directory that holds nothing yet. It returns
// without having written where another process was faster.
func (b *Backend) mark(ctx context.Context) error {
	entries, err := os.ReadDir(b.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == formatName:
			return nil
		case name == "lost+found" || strings.HasPrefix(name, draft):
		default:
			// A list is no snapshot: it may show what another process made after
			// the marker, and not the marker.
			if _, err := os.Lstat(filepath.Join(b.root, formatName)); err == nil {
				return nil
			}
			return fmt.Errorf("the directory is not empty (it has %q) and has no format file: it is not an artifact store; choose an empty or a new one", name)
		}
	}
	// The folder may have been made by an Open that was killed before it synced
	// its name. Where that is another's to look after, it has been there before.
	err = b.disk.syncFolder(ctx, filepath.Dir(b.root))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	name := filepath.Join(b.root, draft+rand.Text())
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(format); err != nil {
		os.Remove(name)
		return err
	}
	err = b.disk.publish(ctx, f, name, b.root, filepath.Join(b.root, formatName))
	if err != nil {
		os.Remove(name)
	}
	return err
}

func clip(text []byte) []byte { return text[:min(len(text), 64)] }
