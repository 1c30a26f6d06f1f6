package config

import (
	"path/filepath"
	"slices"
	"strings"
)

// minBuffered is the least that buffered_bytes may be: one transfer's buffers.
const minBuffered = 8 << 20

// check reports what the keys, each well formed, do not mean.
func (m *mistakes) check(c *Config) {
	m.checkRegistry(&c.Registry)
	m.checkBackends(c.Backends)
	m.checkRouting(c)
	m.checkRetention(c)
	m.checkLimits(&c.Limits)
	m.checkListen(c)
}

// checkRegistry settles which of the two keys speaks: the one of the upper
// layer, so that a variable replaces the file's choice and the file the default.
func (m *mistakes) checkRegistry(r *Registry) {
	const url, ref = "registry.url", "registry.url_ref"
	if r.URL != "" && r.URLRef != "" {
		switch above := m.rank(ref) - m.rank(url); {
		case above > 0:
			r.URL = ""
		case above < 0:
			r.URLRef = ""
		default:
			m.add(ref, "stands beside %s; want one of the two", url)
			return
		}
	}
	if r.URLRef != "" {
		if err := checkReference(r.URLRef); err != nil {
			m.add(ref, "%v", err)
		}
	} else if err := checkRegistryURL(r.URL); err != nil {
		m.add(url, "%v", err)
	}
}

func (m *mistakes) checkBackends(list []Backend) {
	if len(list) == 0 {
		m.add("backends", "is empty; want one backend at least")
	}
	ids, directories := map[string]string{}, map[string]string{}
	for i, b := range list {
		path := index("backends", i)
		m.checkID(b.ID, path, ids)
		if err := b.Type.supported(); err != nil {
			m.add(path+".type", "%v", err)
			continue
		}
		if !isKeyPrefix(b.KeyPrefix) {
			m.add(path+".key_prefix", `%s is not a prefix; want names of letters, digits, ".", "_" and "-", divided by "/", none beginning with "."`, quote(b.KeyPrefix))
		}
		m.checkRoot(b, path, directories)
	}
}

func (m *mistakes) checkID(id, path string, ids map[string]string) {
	switch other, taken := ids[id]; {
	case id == "":
		m.add(path+".id", "is missing; want a name")
	case !isName(id):
		m.add(path+".id", `%s is not a name; want 1 to 64 letters, digits, "_" and "-", a letter or a digit first`, quote(id))
	case taken:
		m.add(path+".id", "%s is the id of %s too; want another", quote(id), other)
	default:
		ids[id] = path
	}
}

// checkRoot refuses two backends that would write the same files.
func (m *mistakes) checkRoot(b Backend, path string, directories map[string]string) {
	if b.Root == "" {
		m.add(path+".root", "is missing; want a directory")
		return
	}
	directory := filepath.Join(b.Root, filepath.FromSlash(b.KeyPrefix))
	if absolute, err := filepath.Abs(directory); err == nil {
		directory = absolute
	}
	if other, taken := directories[directory]; taken {
		m.add(path+".root", "with its key_prefix, %s is where %s keeps its files; want another directory or key_prefix", quote(b.Root), other)
		return
	}
	directories[directory] = path
}

// isKeyPrefix says whether every segment is of letters, digits, ".", "_" and
// "-" and does not begin with a dot. The empty prefix has no segment.
func isKeyPrefix(prefix string) bool {
	return prefix == "" || !slices.ContainsFunc(strings.Split(prefix, "/"), func(segment string) bool {
		return segment == "" || segment[0] == '.' || strings.ContainsFunc(segment, func(r rune) bool {
			return !isAlphanumeric(r) && !strings.ContainsRune("._-", r)
		})
	})
}

func (m *mistakes) checkLimits(l *Limits) {
	m.atLeast("limits.upload_bytes", l.UploadBytes, 0)
	m.atLeast("limits.manifest_bytes", l.ManifestBytes, 1)
	m.atLeast("limits.buffered_bytes", l.BufferedBytes, minBuffered)
	m.atLeast("limits.minimum_rate_bytes", l.MinimumRateBytes, 0)
	if l.Idle.Length() <= 0 {
		m.add("limits.idle", "is nothing; want a time for which a client may be silent, such as 60s")
	}
	if l.ManifestBytes > l.BufferedBytes {
		m.add(m.upper("limits.manifest_bytes", "limits.buffered_bytes"),
			"manifest_bytes (%d) is more than buffered_bytes (%d): a manifest is held in memory whole", l.ManifestBytes, l.BufferedBytes)
	}
}

func (m *mistakes) atLeast(path string, n, least int64) {
	if n < least {
		m.add(path, "%d is too little; want %d or more", n, least)
	}
}

// upper is the one of two paths whose value comes from the upper layer; a, if
// from the same.
func (m *mistakes) upper(a, b string) string {
	if m.rank(b) > m.rank(a) {
		return b
	}
	return a
}
