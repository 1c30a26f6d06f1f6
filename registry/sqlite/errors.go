package sqlite

import (
	"context"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"artifactstore/registry"
)

// refusals are the extended result codes of a constraint that says no: the
// event does not fit the views. What is not listed (a wrong data type, say) is
// a mistake of the program or damage, never the caller's conflict.
var refusals = map[int]bool{
	sqlite3.SQLITE_CONSTRAINT_CHECK:      true,
	sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: true,
	sqlite3.SQLITE_CONSTRAINT_NOTNULL:    true,
	sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: true,
	sqlite3.SQLITE_CONSTRAINT_TRIGGER:    true,
	sqlite3.SQLITE_CONSTRAINT_UNIQUE:     true,
	sqlite3.SQLITE_CONSTRAINT_ROWID:      true,
}

// translate gives a driver's error the meaning that callers branch on, by its
// result code. What already has one, and a context's error, stays.
func translate(err error) error {
	var e *driver.Error
	switch {
	case err == nil || known(err):
		return err
	case !errors.As(err, &e):
		return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	case refusals[e.Code()]:
		return fmt.Errorf("%w: %w", registry.ErrConflict, err)
	case primary(e) == sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", registry.ErrFull, err)
	default:
		return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
}

// known reports whether an error has its final meaning.
func known(err error) bool {
	for _, target := range []error{
		registry.ErrConflict, registry.ErrUnavailable, registry.ErrFull, registry.ErrSchema, registry.ErrRecord,
		errAbsent, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// isBusy reports that another connection holds the lock that was wanted.
func isBusy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && (primary(e) == sqlite3.SQLITE_BUSY || primary(e) == sqlite3.SQLITE_LOCKED)
}

// primary is the result code without its extension.
func primary(e *driver.Error) int { return e.Code() & 0xff }
