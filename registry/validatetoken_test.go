package registry

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"artifactstore/cas/digest"
)

func TestValidateToken(t *testing.T) {
	created := func(change func(*TokenCreated)) Data {
		d := golden["token_created"].Data.(TokenCreated)
		d.Grants = slices.Clone(d.Grants)
		change(&d)
		return d
	}
	long := strings.Repeat("a", 128)
	for _, c := range []struct {
		name string
		good bool
		data Data
	}{
		{"created", true, created(func(*TokenCreated) {})},
		{"never expires", true, created(func(d *TokenCreated) { d.ExpiresAt = time.Time{} })},
		{"expires in nanoseconds", false, created(func(d *TokenCreated) { d.ExpiresAt = d.ExpiresAt.Add(1) })},
		{"expires elsewhere", false, created(func(d *TokenCreated) { d.ExpiresAt = d.ExpiresAt.In(time.FixedZone("", 3600)) })},
		{"longest names", true, created(func(d *TokenCreated) { d.ID, d.Principal = long, long })},
		{"id too long", false, created(func(d *TokenCreated) { d.ID = long + "a" })},
		{"no id", false, created(func(d *TokenCreated) { d.ID = "" })},
		{"id with a line behind it", false, created(func(d *TokenCreated) { d.ID += "\n" })},
		{"no principal", false, created(func(d *TokenCreated) { d.Principal = "" })},
		{"principal with a slash", false, created(func(d *TokenCreated) { d.Principal = "team/app" })},
		{"principal that begins with a point", false, created(func(d *TokenCreated) { d.Principal = ".ci" })},
		{"principal too long", false, created(func(d *TokenCreated) { d.Principal = long + "a" })},
		{"no hash", false, created(func(d *TokenCreated) { d.SHA256 = digest.Digest{} })},
		{"hash by blake3", false, created(func(d *TokenCreated) { d.SHA256 = abcB3 })},
		{"no grants", false, created(func(d *TokenCreated) { d.Grants = nil })},
		{"most grants", true, created(func(d *TokenCreated) { d.Grants = slices.Repeat(d.Grants, maxGrants/2) })},
		{"too many grants", false, created(func(d *TokenCreated) { d.Grants = slices.Repeat(d.Grants, maxGrants/2+1) })},
		{"longest grant", true, created(func(d *TokenCreated) { d.Grants[1] = strings.Repeat("a", maxGrant) })},
		{"grant too long", false, created(func(d *TokenCreated) { d.Grants[1] = strings.Repeat("a", maxGrant+1) })},
		{"empty grant", false, created(func(d *TokenCreated) { d.Grants[1] = "" })},
		{"grant unprintable", false, created(func(d *TokenCreated) { d.Grants[1] = "pull:\x00" })},
		{"revoked", true, TokenRevoked{long}},
		{"nothing revoked", false, TokenRevoked{}},
		{"revoked by a wrong id", false, TokenRevoked{"a b"}},
	} {
		if err := Validate(Event{"ci", c.data}); (err == nil) != c.good || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
