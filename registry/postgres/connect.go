package postgres

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"artifactstore/registry"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const applicationName = "artifactstore" // as pg_stat_activity shows it, unless the URL names another

// settings are configuration parameters of a session.
type settings map[string]string

// writerSettings bound what a writer may wait for while others wait for its
// lock, and tell the planner that a writer finds rows by their keys only:
// statistics of a table that was empty yesterday must not talk it into scans, and
// a plan is as good for one key as for another.
func (o Options) writerSettings() settings {
	return settings{
		"statement_timeout":                   milliseconds(o.Timeout), // the head's lock is waited for in the first statement
		"idle_in_transaction_session_timeout": milliseconds(o.Timeout * 2),
		"enable_seqscan":                      "off",
		"enable_hashjoin":                     "off",
		"enable_mergejoin":                    "off",
		"plan_cache_mode":                     "force_generic_plan", // planning costs more than finding a row by its key
		"jit":                                 "off",                // the scan of a one-row table would count as dear
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// url returns the connection string of now.
func (o Options) url(ctx context.Context) (string, error) {
	if o.URLFunc == nil {
		return o.URL, nil
	}
	u, err := o.URLFunc(ctx)
	if err != nil {
		return "", fmt.Errorf("registry url: %w", err)
	}
	return u, nil
}

// newPool returns a pool that has not connected yet.
func (o Options) newPool(ctx context.Context, connections int, s settings) (*pgxpool.Pool, error) {
	u, err := o.url(ctx)
	if err != nil {
		return nil, err
	}
	c, err := pgxpool.ParseConfig(u)
	if err != nil {
		return nil, err
	}
	c.MaxConns = int32(connections)
	c.MinConns, c.MinIdleConns = 0, 0
	c.PingTimeout = o.Timeout
	// A server that went away and came back has closed its connections. Found out
	// before anything is sent, that costs a new connection; found out behind a
	// commit, its outcome is not known and the caller must be refused.
	c.ShouldPing = func(_ context.Context, p pgxpool.ShouldPingParams) bool {
		return p.IdleDuration > time.Second || !quiet(p.Conn.PgConn().Conn())
	}
	o.prepare(c.ConnConfig, s)
	if o.URLFunc != nil {
		c.BeforeConnect = func(ctx context.Context, into *pgx.ConnConfig) error { return o.renew(ctx, into, s) }
	}
	return pgxpool.NewWithConfig(ctx, c)
}

// renew replaces a connection's parameters by those that the URL of now gives.
func (o Options) renew(ctx context.Context, into *pgx.ConnConfig, s settings) error {
	c, err := o.connConfig(ctx, s)
	if err != nil {
		return fmt.Errorf("%w: %w", registry.ErrUnavailable, err) // it was right when the registry was opened
	}
	*into = *c
	return nil
}

func (o Options) connConfig(ctx context.Context, s settings) (*pgx.ConnConfig, error) {
	u, err := o.url(ctx)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.ParseConfig(u) // it takes the pool's own words out of a URL
	if err != nil {
		return nil, err
	}
	o.prepare(pool.ConnConfig, s)
	return pool.ConnConfig, nil
}

func (o Options) prepare(c *pgx.ConnConfig, s settings) {
	if c.ConnectTimeout == 0 || c.ConnectTimeout > o.Timeout {
		c.ConnectTimeout = o.Timeout
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = applicationName
	}
	for name, value := range s {
		c.RuntimeParams[name] = value
	}
}

// connect makes one connection outside of the pools, for work that changes a
// session or takes long.
func (o Options) connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := o.connConfig(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
	}
	return pgx.ConnectConfig(ctx, c)
}
