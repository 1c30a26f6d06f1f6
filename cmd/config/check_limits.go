package config

// addressShare is the part of all connections that one address may have where it is
// not written, as a divisor: so three that take all they may leave others room.
const addressShare = 4

// completeLimits gives an address its part of the connections, rounded up; of any
// number any number. Where that number is a mistake it adds none of its own.
func (m *mistakes) completeLimits(l *Limits) {
	if m.rank("limits.connections_per_address") == 0 {
		l.ConnectionsPerAddress = (min(max(l.Connections, 0), maxCount) + addressShare - 1) / addressShare
	}
}

func (m *mistakes) checkLimits(c *Config) {
	l, buffered := &c.Limits, int64(minBuffered)
	if _, parts := c.Buffers(); parts > 0 {
		buffered = minBufferedS3
	}
	m.atLeast("limits.upload_bytes", l.UploadBytes, 0)
	m.atLeast("limits.manifest_bytes", l.ManifestBytes, 1)
	m.atLeast("limits.buffered_bytes", l.BufferedBytes, buffered)
	m.within("limits.connections", l.Connections, 0, maxCount)
	m.within("limits.connections_per_address", l.ConnectionsPerAddress, 0, maxCount)
	m.within("limits.uploads_per_principal", l.UploadsPerPrincipal, 0, maxCount)
	m.within("limits.sessions_per_principal", l.SessionsPerPrincipal, 0, maxCount)
	m.atLeast("limits.minimum_rate_bytes", l.MinimumRateBytes, 0)
	if l.Idle.Length() <= 0 {
		m.add("limits.idle", "is nothing; want a time for which a client may be silent, such as 60s")
	}
	if l.ManifestBytes > l.BufferedBytes {
		m.add(m.upper("limits.manifest_bytes", "limits.buffered_bytes"),
			"manifest_bytes (%d) is more than buffered_bytes (%d): a manifest is held in memory whole", l.ManifestBytes, l.BufferedBytes)
	}
	if l.Connections > 0 && l.ConnectionsPerAddress > l.Connections {
		m.add(m.upper("limits.connections_per_address", "limits.connections"),
			"connections_per_address (%d) is more than connections (%d), so it bounds nothing; want less, or 0 for no bound", l.ConnectionsPerAddress, l.Connections)
	}
}
