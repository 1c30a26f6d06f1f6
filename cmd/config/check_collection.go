package config

import "time"

// Bounds of what is collected when: a run more often than this finds nothing that
// the last one did not, and a delete that has less time fails for nothing.
const (
	minEvery       = 100 * time.Millisecond
	minRemovalWait = 5 * time.Second
)

// checkCollection holds the delays against what they must be longer than.
func (m *mistakes) checkCollection(c *Config) {
	const (
		grace, idle            = "retention.collection.grace", "limits.idle"
		orphanAge, uploadGrace = "retention.collection.orphan_age", "retention.upload_grace"
	)
	k := &c.Retention.Collection
	m.longer("retention.collection.every", k.Every, minEvery)
	m.longer("retention.collection.orphans_every", k.OrphansEvery, minEvery)
	m.longer("retention.collection.removal_wait", k.RemovalWait, minRemovalWait)
	if k.Grace.Length() <= c.Limits.Idle.Length() && !m.blamed[idle] {
		m.add(m.upper(grace, idle),
			"collection.grace (%s) is not longer than limits.idle (%s): what a client is about to need would be removed while it is silent", k.Grace, c.Limits.Idle)
	}
	if k.OrphanAge.Length() <= c.Retention.UploadGrace.Length() && !m.blamed[uploadGrace] {
		m.add(m.upper(orphanAge, uploadGrace),
			"collection.orphan_age (%s) is not longer than upload_grace (%s): what is still on its way would count as an orphan", k.OrphanAge, c.Retention.UploadGrace)
	}
}

func (m *mistakes) longer(path string, d Duration, least time.Duration) {
	if d.Length() < least {
		m.add(path, "%s is too short; want %s or more", d, least)
	}
}
