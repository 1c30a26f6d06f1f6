package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"unicode/utf8"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5/pgconn"
)

// translate gives an error of the driver its meaning in the registry's words.
// ctx is the caller's: where it has ended, that is the reason. Any other end of
// a wait was one of our own bounds.
func translate(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case full(err):
		return fmt.Errorf("%w: %v", registry.ErrFull, err)
	case refused(err):
		return fmt.Errorf("%w: %v", registry.ErrConflict, err)
	case unavailable(err):
		return fmt.Errorf("%w: %v", registry.ErrUnavailable, err)
	}
	return err
}

// sqlState returns the code of an error that the server sent, or "". Codes are
// in PostgreSQL's appendix A; the first two characters are the class.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// refused reports whether a constraint was violated: class 23, integrity
// constraint violation.
func refused(err error) bool { return strings.HasPrefix(sqlState(err), "23") }

// full reports disk_full. A disk that is full for the server's own log makes it
// crash instead, which is a lost connection here.
func full(err error) bool { return sqlState(err) == "53100" }

// transient are the codes and classes of what may pass.
var transient = []string{
	"08",    // connection exception
	"28",    // invalid authorization: a password is being rotated
	"3D000", // no such database: it is being restored
	"40",    // transaction rollback: serialisation, deadlock, lost outcome
	"53",    // insufficient resources: too many connections, out of memory
	"55P03", // lock not available within lock_timeout
	"57",    // operator intervention: shutdown, starting up, cancelled, statement_timeout
	"58",    // system error: I/O
	"25P03", // idle in transaction for too long
	"25006", // read-only transaction: a standby, or a fail-over under way
}

// unavailable reports whether the same call may succeed later.
func unavailable(err error) bool {
	if code := sqlState(err); code != "" {
		for _, prefix := range transient {
			if strings.HasPrefix(code, prefix) {
				return true
			}
		}
		return false
	}
	return lost(err) || pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// lost reports whether there is no connection, or no longer.
func lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	switch code := sqlState(err); {
	case strings.HasPrefix(code, "57P") || strings.HasPrefix(code, "08"):
		return true
	case code != "":
		return false
	}
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, errClosed)
}

// storable reports whether PostgreSQL can hold a text. What it cannot hold is
// in no row.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
