package postgres

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const pageSize = 1000 // rows that are held in memory while a caller looks at them

const sinceSQL = `
SELECT position, recorded_at, type, actor, data FROM events WHERE position > $1 ORDER BY position LIMIT $2`

// logRow is a row of the log, not yet understood.
type logRow struct {
	Position   int64
	RecordedAt time.Time
	Type       string
	Actor      string
	Data       []byte
}

func (row logRow) record() (registry.Record, error) {
	d, err := registry.DecodeData(row.Type, row.Data)
	if err != nil {
		return registry.Record{}, fmt.Errorf("record %d: %w", row.Position, err)
	}
	return registry.Record{Position: uint64(row.Position), Time: row.RecordedAt.UTC(), Event: registry.Event{Actor: row.Actor, Data: d}}, nil
}

// Since implements [registry.Log]. No connection is held while records are
// yielded. A gap in the positions, which only damage can make, is an error, not
// skipped.
func (r *Registry) Since(ctx context.Context, after uint64) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		for {
			rows, err := r.page(ctx, after)
			if err != nil {
				yield(registry.Record{}, err)
				return
			}
			for _, row := range rows {
				rec, err := row.record()
				if err == nil && rec.Position != after+1 {
					err = fmt.Errorf("%w: position %d follows %d in the log", registry.ErrRecord, rec.Position, after)
				}
				if !yield(rec, err) || err != nil {
					return
				}
				after = rec.Position
			}
			if len(rows) < pageSize {
				return
			}
		}
	}
}

func (r *Registry) page(ctx context.Context, after uint64) ([]logRow, error) {
	if after > math.MaxInt64 {
		return nil, nil
	}
	return read(ctx, r, "read the log", func(ctx context.Context, conn *pgxpool.Conn) ([]logRow, error) {
		rows, err := conn.Query(ctx, sinceSQL, int64(after), pageSize)
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowToStructByPos[logRow])
	})
}

// Last implements [registry.Log].
func (r *Registry) Last(ctx context.Context) (uint64, error) {
	return read(ctx, r, "read the log's end", func(ctx context.Context, conn *pgxpool.Conn) (last uint64, err error) {
		err = conn.QueryRow(ctx, headSQL).Scan(&last)
		return last, err
	})
}
