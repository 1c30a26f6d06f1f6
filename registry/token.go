package registry

import (
	"context"
	"time"

	"artifactstore/cas/digest"
)

// The event types of tokens.
const (
	TypeTokenCreated = "v1.auth.token_created"
	TypeTokenRevoked = "v1.auth.token_revoked"
)

// TokenCreated makes a token, by which its bearer is the principal. Neither its id nor
// its hash may be that of another token, a revoked or expired one included. What a
// grant means is not known here.
type TokenCreated struct {
	ID        string        `json:"id" cbor:"id"`               // in the form of a producer
	Principal string        `json:"principal" cbor:"principal"` // in the form of a producer
	SHA256    digest.Digest `json:"token_sha256" cbor:"token_sha256"`
	Grants    []string      `json:"grants" cbor:"grants"`
	ExpiresAt time.Time     `json:"expires_at,omitzero" cbor:"expires_at,omitzero"` // whole microseconds, UTC; zero: never
}

// TokenRevoked ends a token, which must be there and not be revoked.
type TokenRevoked struct {
	ID string `json:"id" cbor:"id"`
}

// Type returns the event's type.
func (TokenCreated) Type() string { return TypeTokenCreated }
func (TokenRevoked) Type() string { return TypeTokenRevoked }

// Subject returns the token's id.
func (d TokenCreated) Subject() string { return d.ID }
func (d TokenRevoked) Subject() string { return d.ID }

// Token is a row of the tokens view. The text of a token is kept nowhere.
type Token struct {
	ID        string
	Principal string
	Hash      digest.Digest // the SHA-256 of its text
	Grants    []string
	CreatedBy string // the actor
	CreatedAt time.Time
	ExpiresAt time.Time // zero: never
	RevokedAt time.Time // zero: not
}

// SigningKey is a secret that all gateways on the database share: they sign with it
// what each of them can then check.
type SigningKey struct {
	ID        string // not empty
	Secret    []byte // not empty
	CreatedAt time.Time
	ExpiresAt time.Time // when nothing that was signed with it is good any more
}

// Auth keeps what tells who somebody is. Tokens are a view. Signing keys are
// operational rows like upload sessions: no event makes them, since the log is for
// others to read, and a rebuild leaves them.
type Auth interface {
	// Token finds a token by its id, whether or not it is still good. An unknown one
	// is fs.ErrNotExist.
	Token(ctx context.Context, id string) (Token, error)
	// TokenByHash finds a token by its hash, likewise.
	TokenByHash(ctx context.Context, hash digest.Digest) (Token, error)
	// Tokens returns at most limit tokens whose ids sort after a given one ("": from
	// the start), in the byte order of ids.
	Tokens(ctx context.Context, after string, limit int) ([]Token, error)

	// SigningKeys returns all keys, the oldest first, then by id.
	SigningKeys(ctx context.Context) ([]SigningKey, error)
	// AddSigningKey adds a key. A taken id is ErrConflict. Times are kept to the
	// microsecond.
	AddSigningKey(ctx context.Context, k SigningKey) error
	// DropSigningKeys removes the keys that expire before a time.
	DropSigningKeys(ctx context.Context, expiredBefore time.Time) error
}
