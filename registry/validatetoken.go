package registry

import (
	"fmt"
	"regexp"

	"artifactstore/cas/digest"
)

const (
	maxGrants = 64
	maxGrant  = 300 // bytes
)

// producerForm is the form of producers' names where it matters. A principal is the
// producer of what it pushes.
var producerForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$`)

func (d TokenCreated) validate() error {
	err := first(checkForm("id", d.ID), checkForm("principal", d.Principal), checkDigest("token_sha256", d.SHA256, digest.SHA256), checkGrants(d.Grants))
	if err == nil && !d.ExpiresAt.IsZero() {
		err = checkTime("expires_at", d.ExpiresAt)
	}
	return err
}

func (d TokenRevoked) validate() error { return checkForm("id", d.ID) }

func checkForm(field, s string) error {
	if !producerForm.MatchString(s) {
		return fmt.Errorf("%w: %s %.80q: want %s", ErrRecord, field, s, producerForm)
	}
	return nil
}

func checkGrants(grants []string) error {
	if len(grants) == 0 || len(grants) > maxGrants {
		return fmt.Errorf("%w: %d grants, want 1 to %d", ErrRecord, len(grants), maxGrants)
	}
	for _, g := range grants {
		if err := checkText("grant", g, maxGrant); err != nil {
			return err
		}
	}
	return nil
}
