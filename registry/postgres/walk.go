package postgres

import "github.com/jackc/pgx/v5"

// A walk reads rows in the order of a key, a window at a time, and answers with
// those that pass a filter, until it has as many as it was asked for or has read a
// bounded number: its page may be short. The query of a window yields what passes,
// and its last row in any case, so that the walk knows where it ended.

// How many rows a walk reads at most: for a request that waits some milliseconds'
// worth, for a collection enough for a batch.
const (
	walkRows    = 1000
	collectRows = 10_000
)

// walked is a row that a window yields.
type walked[T any] struct {
	passes bool
	rows   int // how many the window has
	value  T
}

// walk returns at most limit values that pass. window returns one that begins
// after a value, nil at the start, has at most size rows, and yields at most most
// that pass. last is nil when nothing is left.
func walk[T any](limit, bound int, window func(after *T, size, most int) ([]walked[T], error)) (page []T, last *T, err error) {
	if limit <= 0 {
		return nil, nil, nil
	}
	for read, size := 0, min(limit, bound); size > 0; {
		had := len(page)
		rows, err := window(last, size, limit-len(page))
		if err != nil {
			return nil, nil, err
		}
		n := 0
		for _, row := range rows {
			n, last = row.rows, &row.value
			if !row.passes {
				continue
			}
			page = append(page, row.value)
			if len(page) == limit {
				return page, last, nil
			}
		}
		if n < size {
			return page, nil, nil
		}
		read += n
		size = min(nextWindow(size, len(page)-had, limit-len(page)), bound-read)
	}
	return page, last, nil
}

// nextWindow is the size of the window after one of which some rows passed: so large
// that it has the rest if a third less pass than before, and at most ten times as
// large as the last.
func nextWindow(size, passed, left int) int {
	if passed == 0 {
		return 10 * size
	}
	return min(10*size, left*size*3/(2*passed)+1)
}

// windowSQL makes the query of a window: rows are what it reads, in an order,
// passes the condition on a row w. What follows are columns and further tables of
// row p. $1 is the size, $2 how many may pass.
func windowSQL(rows, order, passes, columns, more string) string {
	return `
SELECT p.passes, p.n, ` + columns + `
FROM (SELECT w.*, count(*) OVER () AS n, row_number() OVER o AS i, count(*) FILTER (WHERE w.passes) OVER o AS passed
      FROM (SELECT w.*, coalesce(` + passes + `, false) AS passes FROM (` + rows + ` ORDER BY ` + order + ` LIMIT $1) AS w) AS w
      WINDOW o AS (ORDER BY ` + order + `)) AS p` + more + `
WHERE (p.passes AND p.passed <= $2) OR p.i = p.n ORDER BY p.i`
}

// scanWalked scans what a window yields; behind scans the value, behind other columns.
func scanWalked[T any](behind func(row pgx.CollectableRow, before ...any) (T, error)) pgx.RowToFunc[walked[T]] {
	return func(row pgx.CollectableRow) (w walked[T], err error) {
		w.value, err = behind(row, &w.passes, &w.rows)
		return w, err
	}
}
