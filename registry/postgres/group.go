package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// group is appends that are committed together. Each call ends with last or err
// set.
type group []*call

// advanceSQL advances the head's row, which stays locked, and writes events behind
// it. The time is the database's clock, and never earlier than the one before.
const advanceSQL = `
WITH here AS (
    UPDATE head SET position = position + $1, recorded_at = greatest(recorded_at, clock_timestamp())
    RETURNING position - $1 AS base, recorded_at)
INSERT INTO events (position, recorded_at, type, actor, data)
SELECT here.base + e.n, here.recorded_at, e.type, e.actor, e.data
FROM here, unnest($2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS e (type, actor, data, n)`

const headSQL = `SELECT position FROM head`

// commit commits a group and returns the position of the log's last event. With
// an error the whole group has failed, for a reason that is none of its events'.
func (g group) commit(ctx context.Context, conn *pgx.Conn) (last uint64, err error) {
	last, err = g.try(ctx, conn, false)
	switch {
	case err == nil:
		return last, nil
	case !refused(err):
		return 0, err
	case len(g) == 1:
		g[0].err = translate(ctx, err)
		return 0, nil
	}
	err = pgx.BeginFunc(ctx, conn, func(pgx.Tx) error {
		half := len(g) / 2
		if last, err = g[:half].divide(ctx, conn); err != nil {
			return err
		}
		second, err := g[half:].divide(ctx, conn)
		last = max(last, second)
		return err
	})
	return last, err
}

// divide commits as much of a group as fits, in a transaction under way, and
// says of each other call why it does not fit.
func (g group) divide(ctx context.Context, conn *pgx.Conn) (last uint64, err error) {
	last, err = g.try(ctx, conn, true)
	if err == nil || !refused(err) {
		return last, err
	}
	if _, undo := conn.Exec(ctx, "ROLLBACK TO SAVEPOINT whole"); undo != nil {
		return 0, undo
	}
	if len(g) == 1 {
		g[0].err = translate(ctx, err)
		return 0, nil
	}
	half := len(g) / 2
	first, err := g[:half].divide(ctx, conn)
	if err != nil {
		return 0, err
	}
	second, err := g[half:].divide(ctx, conn)
	return max(first, second), err
}

// try sends a group as one batch and sets the positions. In a transaction under
// way it stands under the savepoint "whole"; otherwise the batch is a transaction
// of its own, which is durable when SendBatch's Close returns nil: that reads the
// server's ReadyForQuery, which follows the commit.
func (g group) try(ctx context.Context, conn *pgx.Conn, within bool) (last uint64, err error) {
	b := &pgx.Batch{}
	if within {
		b.Queue("SAVEPOINT whole")
	}
	facts := g.queueEvents(b)
	queueViews(b, nil, facts)
	b.Queue(headSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&last) })
	if within {
		b.Queue("RELEASE SAVEPOINT whole")
	}
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return 0, fmt.Errorf("append: %w", err)
	}
	position := last - uint64(len(facts))
	for _, c := range g {
		position += uint64(len(c.events))
		c.last = position
	}
	return last, nil
}

// queueEvents queues the rows of the log.
func (g group) queueEvents(b *pgx.Batch) []fact {
	var facts []fact
	var types, actors []string
	var data [][]byte
	for _, c := range g {
		for _, e := range c.events {
			facts = append(facts, fact{actor: e.Actor, data: e.Data})
			types = append(types, e.Data.Type())
			actors = append(actors, e.Actor)
			data = append(data, e.cbor)
		}
	}
	b.Queue(advanceSQL, len(facts), types, actors, data)
	return facts
}

// answer answers all calls: with an error of the whole group, or else with what
// was found for each.
func (g group) answer(err error) {
	for _, c := range g {
		switch {
		case err != nil:
			c.answer(0, err)
		case c.err != nil:
			c.answer(0, c.err)
		default:
			c.answer(c.last, nil)
		}
	}
}
