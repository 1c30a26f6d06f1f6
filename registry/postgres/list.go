package postgres

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// firstPage is how many rows a list reads at first: most callers want a hundred, and see
// by one more whether there are others. Each page after it is twice as
// long, so that what is read and not wanted is not much.
const firstPage = 101

// list yields what a query finds after a key, a page at a time: it holds no
// connection and no snapshot while the caller works.
type list[T any] struct {
	what string
	sql  string
	args []any // before the last two: the key and the size of a page
	scan pgx.RowToFunc[T]
	key  func(T) string // by which the query orders, in byte order
}

// walk yields what sorts after a key. Where that is no text of the database's, it
// looks from the longest part of it that is, and leaves out what comes before.
func (l list[T]) walk(ctx context.Context, r *Registry, after string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		from := storablePart(after)
		for size := firstPage; ; size = min(2*size, pageSize) {
			found, err := l.page(ctx, r, from, size)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, t := range found {
				if l.key(t) > after && !yield(t, nil) {
					return
				}
			}
			if len(found) < size {
				return
			}
			from = l.key(found[len(found)-1])
		}
	}
}

// storablePart returns the longest beginning of a text that is storable.
func storablePart(s string) string {
	for !storable(s) {
		s = s[:len(s)-1]
	}
	return s
}

func (l list[T]) page(ctx context.Context, r *Registry, after string, size int) ([]T, error) {
	return read(ctx, r, l.what, func(ctx context.Context, conn *pgxpool.Conn) ([]T, error) {
		rows, err := conn.Query(ctx, l.sql, append(l.args[:len(l.args):len(l.args)], after, size)...)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, l.scan)
	})
}

// nothing is a list of nothing.
func nothing[T any]() iter.Seq2[T, error] { return func(func(T, error) bool) {} }
