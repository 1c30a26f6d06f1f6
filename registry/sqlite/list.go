package sqlite

import (
	"context"
	"database/sql/driver"
	"iter"
	"slices"
)

// firstPage is how many rows a list reads at first: most callers want no more than a
// hundred, and see by one more whether there are others. Each page after it is twice as
// long, so that what is read and not wanted is not much.
const firstPage = 128

// list yields what a query finds after a key, a page at a time: it holds no
// connection and no snapshot while the caller works.
type list[T any] struct {
	sql  string
	args []driver.Value // before those of the key and the size of a page
	of   func(row []driver.Value) (T, error)
	more func(last *T, row []driver.Value) bool // where not nil: takes a row that belongs to the one before
	key  func(T) []driver.Value                 // by which the query orders
}

func (l list[T]) walk(ctx context.Context, r *Registry, after []driver.Value, wrap func(error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for size := firstPage; ; size = min(2*size, page) {
			found, err := l.page(ctx, r, after, size)
			for _, t := range found {
				if !yield(t, nil) {
					return
				}
			}
			if err != nil {
				var none T
				yield(none, wrap(err))
				return
			}
			if len(found) < size {
				return
			}
			after = l.key(found[len(found)-1])
		}
	}
}

// page reads the rows after a key; with an error, those before it.
func (l list[T]) page(ctx context.Context, r *Registry, after []driver.Value, size int) (found []T, err error) {
	err = r.read(ctx, func(c *conn) error {
		return c.query(context.Background(), l.sql, func(row []driver.Value) error {
			if n := len(found); n > 0 && l.more != nil && l.more(&found[n-1], row) {
				return nil
			}
			t, err := l.of(row)
			if err == nil {
				found = append(found, t)
			}
			return err
		}, append(slices.Concat(l.args, after), int64(size))...)
	})
	return found, err
}
