package digest

import "fmt"

// Column reads a database column whose algorithm is fixed by its name, as
// [Digest.Value] writes it. It is a scan destination for database/sql and for
// drivers that know its interfaces:
//
//	row.Scan(digest.Column{digest.SHA256, &blob.SHA256}, …)
type Column struct {
	Algorithm Algorithm
	Digest    *Digest // where the digest goes
}

// Scan accepts the raw sum, or NULL for the zero digest. Anything else, a sum of
// another length too, is [ErrInvalid]: the column does not hold what its name
// says.
func (c Column) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*c.Digest = Digest{}
		return nil
	case []byte:
		if c.Algorithm == 0 || len(v) != c.Algorithm.Size() {
			return fmt.Errorf("%w: column of %d bytes for algorithm %q", ErrInvalid, len(v), c.Algorithm)
		}
		*c.Digest = New(c.Algorithm, v)
		return nil
	}
	return fmt.Errorf("%w: column of type %T", ErrInvalid, src)
}
