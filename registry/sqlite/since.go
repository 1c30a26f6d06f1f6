package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
	"math"

	"artifactstore/registry"
)

const (
	selectHead   = `SELECT position, time FROM head`
	selectEvents = `SELECT position, time, type, actor, subject, data FROM events WHERE position > ?1 ORDER BY position LIMIT ?2 + 0`
)

// readHead returns position and time of the last event.
func readHead(c *conn) (position, time int64, err error) {
	none := true
	err = c.query(context.Background(), selectHead, func(row []driver.Value) error {
		position, time, none = row[0].(int64), row[1].(int64), false
		return nil
	})
	if err == nil && none {
		err = errors.New("the head of the log is missing")
	}
	return position, time, err
}

// Last implements registry.Log.
func (r *Registry) Last(ctx context.Context) (uint64, error) {
	last, err := r.position(ctx)
	if err != nil {
		return 0, fmt.Errorf("last position: %w", err)
	}
	return last, nil
}

func (r *Registry) position(ctx context.Context) (uint64, error) {
	last := int64(0)
	err := r.read(ctx, func(c *conn) (err error) {
		last, _, err = readHead(c)
		return err
	})
	return uint64(last), err
}

// Since implements registry.Log. It reads a page at a time and holds no
// connection and no snapshot while the caller works.
func (r *Registry) Since(ctx context.Context, after uint64) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		for {
			records, err := r.records(ctx, after)
			for _, record := range records {
				if !yield(record, nil) {
					return
				}
				after = record.Position
			}
			if err != nil {
				yield(registry.Record{}, fmt.Errorf("events after %d: %w", after, err))
				return
			}
			if len(records) < page {
				return
			}
		}
	}
}

// records reads the next page of the log; with an error, those before it.
func (r *Registry) records(ctx context.Context, after uint64) ([]registry.Record, error) {
	if after > math.MaxInt64 {
		return nil, nil
	}
	var records []registry.Record
	err := r.read(ctx, func(c *conn) error {
		return c.query(context.Background(), selectEvents, func(row []driver.Value) error {
			record, err := recordOf(row)
			if err == nil {
				records = append(records, record)
			}
			return err
		}, int64(after), int64(page))
	})
	return records, err
}

// recordOf reads a row of selectEvents. One that Append does not write is
// ErrRecord.
func recordOf(row []driver.Value) (registry.Record, error) {
	position, typ := row[0].(int64), text(row[2])
	data, err := registry.DecodeData(typ, bytesOf(row[5]))
	if err != nil {
		return registry.Record{}, fmt.Errorf("event %d: %w", position, err)
	}
	if subject := text(row[4]); subject != data.Subject() {
		return registry.Record{}, fmt.Errorf("event %d: %w: its subject is %.100q, its data says %q",
			position, registry.ErrRecord, subject, data.Subject())
	}
	e := registry.Event{Actor: text(row[3]), Data: data}
	if err := registry.Validate(e); err != nil {
		return registry.Record{}, fmt.Errorf("event %d: %w", position, err)
	}
	return registry.Record{Position: uint64(position), Time: moment(row[1]), Event: e}, nil
}
