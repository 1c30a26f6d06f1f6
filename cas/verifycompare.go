package cas

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"

	"artifactstore/backends"
	"artifactstore/cas/digest"
	"artifactstore/registry"
)

// compare walks the backend's list and the registry side by side, both in the
// order of digests, and counts the objects that no location knows. What the
// registry has and the backend has not was found by reading.
func (v *verifier) compare(ctx context.Context) error {
	for try := 0; ; try++ {
		before := v.st.List
		err := v.compareFrom(ctx)
		switch {
		case err == nil:
			v.st.Current.Compared = true
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.Is(err, backends.ErrUnavailable):
			return backendError("list objects", v.o.Backend, err)
		}
		if v.st.List != before {
			try = 0
		}
		if try == len(patience) || v.sleep(ctx, patience[try]) != nil {
			return backendError("list objects", v.o.Backend, err)
		}
	}
}

func (v *verifier) compareFrom(ctx context.Context) error {
	from, _ := digest.ParseKey(v.st.List) // the last may have been a stranger: then from the start
	known, stop := iter.Pull2(v.reg.Blobs(ctx, from))
	defer stop()
	var at registry.Blob
	for info, err := range v.b.List(ctx, "", v.st.List) {
		if err != nil {
			return err
		}
		d, err := digest.ParseKey(info.Key)
		if err != nil || d.Algorithm() != digest.SHA256 {
			v.st.Current.Strangers++
			v.foreign(info.Key)
		} else if err := v.comparePair(ctx, known, &at, d, info); err != nil {
			return err
		}
		v.st.List = info.Key
		if time.Since(v.saved) >= savePause {
			if v.report(); ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// comparePair moves the registry's side up to an object and looks whether it is there.
func (v *verifier) comparePair(ctx context.Context, known func() (registry.Blob, error, bool), at *registry.Blob, d digest.Digest, info backends.Info) error {
	for at.SHA256.IsZero() || at.SHA256.Hex() < d.Hex() {
		b, err, ok := known()
		if err != nil {
			return registryError("walk blobs", err)
		}
		if !ok {
			break
		}
		*at = b
	}
	if at.SHA256 == d && locationOn(*at, v.o.Backend) != nil {
		return nil
	}
	orphan, err := v.orphan(ctx, d, info)
	if orphan {
		v.st.Current.Orphans++
		v.foreign(info.Key)
	}
	return err
}

// orphan asks again: an object may be older than the page of rows it was compared
// with, be on its way to a row, or on its way out.
func (v *verifier) orphan(ctx context.Context, d digest.Digest, info backends.Info) (bool, error) {
	if info.ModTime.After(v.now().Add(-v.grace)) {
		return false, nil
	}
	b, err := v.reg.Blob(ctx, d)
	if err == nil && locationOn(b, v.o.Backend) != nil {
		return false, nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		_, err = v.reg.Removal(ctx, d, v.o.Backend)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return false, registryError("look up "+d.String(), err)
}

func (v *verifier) foreign(key string) {
	if run := &v.st.Current; len(run.Foreign) < mostFailures {
		run.Foreign = append(run.Foreign, key)
	}
}
