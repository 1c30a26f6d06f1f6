package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"artifactstore/registry"
)

// entry is an event made ready for the log.
type entry struct {
	registry.Event
	data []byte // canonical CBOR
}

// Append implements registry.Log.
func (r *Registry) Append(ctx context.Context, events ...registry.Event) (uint64, error) {
	if len(events) == 0 {
		return r.Last(ctx)
	}
	entries := make([]entry, len(events))
	for i, e := range events {
		if err := registry.Validate(e); err != nil {
			return 0, fmt.Errorf("append: %w", err)
		}
		data, err := registry.EncodeData(e.Data)
		if err != nil {
			return 0, fmt.Errorf("append: %w", err)
		}
		entries[i] = entry{e, data}
	}
	last := int64(0)
	err := r.write(ctx, func(t *transaction) error {
		err := t.append(entries)
		last = t.position
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", events[0].Data.Type(), err)
	}
	return uint64(last), nil
}

// write makes a change, if the registry is open.
func (r *Registry) write(ctx context.Context, do func(*transaction) error) error {
	if err := r.gate.enter(); err != nil {
		return err
	}
	defer r.gate.leave()
	return r.writer.submit(ctx, do)
}

// rowsAtOnce bounds how many events one statement inserts.
const rowsAtOnce = 8

// insertEvents[n] inserts n events.
var insertEvents = func() (sql [rowsAtOnce + 1]string) {
	for n := 1; n <= rowsAtOnce; n++ {
		sql[n] = "INSERT INTO events (position, time, type, actor, subject, data) VALUES (?, ?, ?, ?, ?, ?)" +
			strings.Repeat(", (?, ?, ?, ?, ?, ?)", n-1)
	}
	return sql
}()

// append adds events to the log and the views.
func (t *transaction) append(entries []entry) error {
	at, first := t.clock(), t.position+1
	for rest := entries; len(rest) > 0; {
		n := min(len(rest), rowsAtOnce)
		args := make([]driver.Value, 0, 6*rowsAtOnce)
		for _, e := range rest[:n] {
			t.position++
			args = append(args, t.position, at, e.Data.Type(), e.Actor, e.Data.Subject(), e.data)
		}
		if _, err := t.conn.exec(context.Background(), insertEvents[n], args...); err != nil {
			return err
		}
		rest = rest[n:]
	}
	t.time = at
	for i, e := range entries {
		if err := apply(t.conn, first+int64(i), at, e.Event); err != nil {
			return err
		}
	}
	return nil
}
