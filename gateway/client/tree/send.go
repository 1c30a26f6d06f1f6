package tree

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"artifactstore/cas/digest"
	"artifactstore/gateway/client"
)

// compare orders paths by their bytes.
func compare(a, b string) int { return cmp.Compare(a, b) }

// send puts a file into the package. A small one is read once and sent: to ask
// first would cost as much. Of a larger one the digest is computed first, and its
// bytes are sent only where the gateway has not got them.
func (p *push) send(ctx context.Context, i int) (err error) {
	f := p.files[i]
	if f.info.Size() <= buffer {
		err = p.sendSmall(ctx, i)
	} else {
		err = p.sendLarge(ctx, i)
	}
	if err != nil {
		return fmt.Errorf("push %s: %w", f.path, err)
	}
	return nil
}

func (p *push) sendSmall(ctx context.Context, i int) error {
	f := p.files[i]
	text, err := p.read(f)
	if err != nil {
		return err
	}
	content := client.Bytes(text)
	to := &p.done.Sent
	if p.has(f, content.Identity) {
		to = &p.done.Kept
	} else if _, err = p.c.PutFile(ctx, p.Package, f.path, content); err != nil {
		return err
	}
	p.Progress.Bytes(content.Size)
	p.finished(i, content.Identity, to)
	return nil
}

// errChanged says that a file is not what it was when the directory was walked.
var errChanged = errors.New("the file changed while it was pushed: push it again when it is at rest")

// open opens a file, which must be as it was found.
func (p *push) open(f local) (*os.File, error) {
	in, err := p.root.Open(f.path)
	if err != nil {
		return nil, err
	}
	if err := still(in, f); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

func still(in *os.File, f local) error {
	now, err := in.Stat()
	if err == nil && !f.unchanged(now) {
		err = errChanged
	}
	return err
}

// read returns a file's bytes.
func (p *push) read(f local) ([]byte, error) {
	in, err := p.open(f)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text := make([]byte, f.info.Size())
	if _, err := io.ReadFull(in, text); err != nil {
		return nil, fmt.Errorf("%w: %w", errChanged, err)
	}
	return text, still(in, f)
}

// hash returns the identity of a file.
func (p *push) hash(i int) (digest.Identity, error) {
	in, err := p.open(p.files[i])
	if err != nil {
		return digest.Identity{}, err
	}
	defer in.Close()
	id, err := hashOf(in)
	if err == nil {
		err = still(in, p.files[i])
	}
	if err == nil && id.Size != p.files[i].info.Size() {
		err = errChanged
	}
	return id, err
}

func hashOf(r io.Reader) (digest.Identity, error) {
	h := digest.NewHasher()
	defer h.Release()
	_, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, buffer))
	return h.Identity(), err
}

// sendLarge sends one of several files of the same content at a time: the others
// find it at the gateway.
func (p *push) sendLarge(ctx context.Context, i int) error {
	f := p.files[i]
	id, err := p.hash(i)
	if err != nil {
		return err
	}
	to := &p.done.Kept
	if !p.has(f, id) {
		defer p.once.lock(id.SHA256)()
		to = &p.done.Attached
		_, err = p.c.AttachFile(ctx, p.Package, f.path, id)
		if errors.Is(err, client.ErrBlobUnknown) || errors.Is(err, client.ErrBlobUnavailable) {
			to = &p.done.Sent
			err = p.upload(ctx, f, id)
		}
		if err != nil {
			return err
		}
	}
	if to != &p.done.Sent {
		p.Progress.Bytes(id.Size)
	}
	p.finished(i, id, to)
	return nil
}

// upload sends the bytes of a file whose identity is known: should they change, the
// gateway refuses them.
func (p *push) upload(ctx context.Context, f local, id digest.Identity) error {
	var sent *counted
	content := client.Content{Identity: id, Open: func() (io.ReadCloser, error) {
		if sent != nil {
			sent.takeBack()
		}
		in, err := p.open(f)
		if err != nil {
			return nil, err
		}
		sent = &counted{ReadCloser: in, progress: p.Progress}
		return sent, nil
	}}
	_, err := p.c.PutFile(ctx, p.Package, f.path, content)
	if errors.Is(err, client.ErrDigestMismatch) {
		err = fmt.Errorf("%w (%w)", errChanged, err)
	}
	return err
}

// has reports whether the package had a file before the push.
func (p *push) has(f local, id digest.Identity) bool {
	had, ok := p.had[f.path]
	return ok && had.Size == id.Size && had.Digest == id.SHA256
}

func (p *push) finished(i int, id digest.Identity, to *Count) {
	p.ids[i] = id
	p.mu.Lock()
	to.add(id.Size)
	p.mu.Unlock()
	p.Progress.File()
}

// surplus returns the paths that the package has and the directory has not.
func (p *push) surplus() []string {
	rest := maps.Clone(p.had)
	for _, f := range p.files {
		delete(rest, f.path)
	}
	return slices.Sorted(maps.Keys(rest))
}

func (p *push) prune(ctx context.Context) error {
	gone := p.surplus()
	if len(gone) == 0 || !p.Prune {
		return nil
	}
	err := each(ctx, p.Jobs, len(gone), func(ctx context.Context, i int) error {
		return p.c.RemoveFile(ctx, p.Package, gone[i])
	})
	if err == nil {
		p.done.Removed = len(gone)
	}
	return err
}
