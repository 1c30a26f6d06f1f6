package config

// The least that buffered_bytes may be, without and with an s3 backend: there it
// must hold parts too, of which the smallest has 5 MiB.
const (
	minBuffered   = 8 << 20
	minBufferedS3 = 32 << 20
)

// maxCount bounds what is counted.
const maxCount = 1 << 20

// check reports what the keys, each well formed, do not mean.
func (m *mistakes) check(c *Config) {
	m.checkRegistry(&c.Registry)
	m.checkLimits(c) // before what depends on limits
	m.checkBackends(c)
	m.checkRouting(c)
	m.checkRetention(c)
	m.checkCollection(c)
	m.checkAuth(&c.Auth)
	m.checkListen(c)
	m.checkTLS(c)
	m.checkDebug(&c.Debug)
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
	if r.URLRef == "" && !m.blamed[ref] {
		if err := checkRegistryURL(r.URL); err != nil {
			m.add(url, "%v", err)
		}
	}
}

func (m *mistakes) atLeast(path string, n, least int64) {
	if n < least {
		m.add(path, "%d is too little; want %d or more", n, least)
	}
}

func (m *mistakes) within(path string, n, least, most int64) {
	if n < least || n > most {
		m.add(path, "%d is out of bounds; want %d to %d", n, least, most)
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
