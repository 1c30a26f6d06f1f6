package config

// TLS says how connections are encrypted. Without it they are not.
type TLS struct {
	// CertificateRef is where the certificate is kept, its chain behind it, and KeyRef
	// where its key is: PEM, both or none. They are read again when they change.
	CertificateRef Reference `yaml:"certificate_ref"`
	KeyRef         Reference `yaml:"key_ref"`
}

// On reports whether connections are encrypted.
func (t TLS) On() bool { return t.CertificateRef != "" }

func (m *mistakes) checkTLS(c *Config) {
	const certificate, key = "tls.certificate_ref", "tls.key_ref"
	switch t := c.TLS; {
	case t.CertificateRef == "" && t.KeyRef != "":
		m.add(certificate, "is missing beside key_ref; want env:NAME or file:/path")
	case t.CertificateRef != "" && t.KeyRef == "":
		m.add(key, "is missing beside certificate_ref; want env:NAME or file:/path")
	case !t.On() && c.Auth.Mode.Has(ModeCertificates):
		m.add("auth.mode", "certificates needs TLS, which asks clients for theirs; write tls.certificate_ref and tls.key_ref")
	}
}
