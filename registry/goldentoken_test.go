package registry

import (
	"maps"
	"time"
)

func init() { maps.Copy(golden, goldenToken) }

var goldenToken = map[string]Record{
	"token_created": at(33, "operator", TokenCreated{ID: "t1f0a94b2c3d7", Principal: "ci-7", SHA256: abc256,
		Grants: []string{"push:ci-7", "pull:*"}, ExpiresAt: time.Date(2027, 2, 21, 10, 0, 0, 120000, time.UTC)}),
	"token_created_forever": at(34, "operator", TokenCreated{ID: "t0", Principal: "ann", SHA256: empty256, Grants: []string{"*:*"}}),
	"token_revoked":         at(35, "operator", TokenRevoked{ID: "t1f0a94b2c3d7"}),
}
