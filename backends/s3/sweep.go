package s3

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"artifactstore/backends"
)

// Sweep finds unfinished uploads and staging objects under the own prefix. An
// upload is as old as its newest part or tail. It looks at the staging folder
// first, so a tail written meanwhile belongs to an upload that it sees alive.
//
// MinIO lists unfinished uploads of an exact key only, so there this finds
// staging objects and tails; the server itself drops unfinished uploads after a day.
func (b *Backend) Sweep(ctx context.Context, before time.Time) (removed int, err error) {
	kept, err := b.staged(ctx)
	if err != nil {
		return 0, b.fail(ctx, "sweep", staging, err)
	}
	s := &sweep{b: b, before: before, tails: newestTails(kept), alive: map[string]bool{}, removed: map[string]bool{}}
	err = errors.Join(s.uploads(ctx), s.objects(ctx, kept))
	if err != nil {
		return len(s.removed), b.fail(ctx, "sweep", staging, err)
	}
	return len(s.removed), nil
}

type sweep struct {
	b       *Backend
	before  time.Time
	tails   map[string]time.Time // newest tail by nonce and by group
	alive   map[string]bool      // groups of unfinished uploads that are kept
	removed map[string]bool      // what was removed, by nonce or, without one, by group
}

// staged lists the staging folder, names without it.
func (b *Backend) staged(ctx context.Context) ([]object, error) {
	var list []object
	for o, err := range b.objects(ctx, b.prefix+staging, "") {
		if err != nil {
			return nil, err
		}
		o.key = strings.TrimPrefix(o.key, b.prefix+staging)
		if o.key != healthName {
			list = append(list, o)
		}
	}
	return list, nil
}

func newestTails(list []object) map[string]time.Time {
	newest := map[string]time.Time{}
	for _, o := range list {
		nonce, group, ok := parseTail(o.key)
		if !ok {
			continue
		}
		for _, id := range []string{nonce, group} {
			if id != "0" && o.written.After(newest[id]) {
				newest[id] = o.written
			}
		}
	}
	return newest
}

// uploads aborts the old unfinished uploads.
func (s *sweep) uploads(ctx context.Context) (failed error) {
	input := &s3.ListMultipartUploadsInput{Bucket: s.b.bucket(), Prefix: aws.String(s.b.prefix)}
	for {
		page, err := s.b.calls.ListMultipartUploads(ctx, input)
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, u := range page.Uploads {
			m := &multipart{b: s.b, key: aws.ToString(u.Key), id: aws.ToString(u.UploadId)}
			if !s.ours(m.key) {
				continue
			}
			if err := s.upload(ctx, m, aws.ToTime(u.Initiated)); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		if !aws.ToBool(page.IsTruncated) || aws.ToString(page.NextKeyMarker) == "" || aws.ToString(page.NextKeyMarker) == aws.ToString(input.KeyMarker) && aws.ToString(page.NextUploadIdMarker) == aws.ToString(input.UploadIdMarker) {
			return failed
		}
		input.KeyMarker, input.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

// ours reports whether a key in the bucket may be of this backend.
func (s *sweep) ours(key string) bool {
	name, ok := strings.CutPrefix(key, s.b.prefix)
	return ok && (strings.HasPrefix(name, staging) || backends.CheckKey(name) == nil)
}

func (s *sweep) upload(ctx context.Context, m *multipart, begun time.Time) error {
	id := group(m.id)
	s.alive[id] = true
	if !begun.Before(s.before) || !s.tails[id].Before(s.before) {
		return nil
	}
	_, newest, err := m.parts(ctx)
	if errors.Is(err, backends.ErrUploadUnknown) {
		delete(s.alive, id)
		return nil // it was ended just now
	}
	if err != nil || !newest.Before(s.before) {
		return err
	}
	if err := m.abort(ctx); err != nil {
		return err
	}
	delete(s.alive, id)
	s.removed[s.name(m)] = true
	return nil
}

// name is what an upload is counted by.
func (s *sweep) name(m *multipart) string {
	if name, ok := strings.CutPrefix(m.key, s.b.prefix+staging); ok {
		nonce, _, _ := strings.Cut(name, "/")
		return nonce
	}
	return group(m.id)
}

// objects deletes the old staging objects. What is unknown there, from a
// doctor's visit for one, goes by the same rule.
func (s *sweep) objects(ctx context.Context, list []object) (failed error) {
	for _, o := range list {
		nonce, id, tail := parseTail(o.key)
		if !o.written.Before(s.before) || tail && (s.alive[id] || !s.tails[nonce].Before(s.before)) {
			continue
		}
		if err := s.b.remove(ctx, s.b.prefix+staging+o.key); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if !tail || id == "0" { // others go with their parts
			name, _, _ := strings.Cut(o.key, "/")
			s.removed[name] = true
		}
	}
	return failed
}
