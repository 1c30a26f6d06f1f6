package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"artifactstore/cas"
	"artifactstore/cas/digest"
	"artifactstore/cmd/config"
	"artifactstore/gateway/auth"
)

// operator is the actor of what is done at the registry directly.
const operator = "operator"

func authCommand(f *flags) *cobra.Command {
	return group("auth", "Look after who may do what",
		`Who may do what is in the configuration, section auth, and for tokens that are made
here in the registry.`,
		group("token", "Make, list or revoke tokens",
			`A token lets a principal do what its grants allow, over HTTP with a gateway whose
auth.mode has tokens. These commands find the registry by the same configuration as
"serve" and run beside serving gateways, which know at once what was done.`,
			tokenNewCommand(f), tokenListCommand(f), tokenRevokeCommand(f)))
}

func tokenNewCommand(f *flags) *cobra.Command {
	var name, expires string
	var allow []string
	cmd := &cobra.Command{
		Use:   "new --name NAME --allow GRANT...",
		Short: "Make a token, and show it this once",
		Long: `Make a token and print it on standard output. It is kept nowhere, only its SHA-256:
what is lost has to be made anew.

A grant is verb:pattern. Verbs are pull, push (create), overwrite, delete, hold,
admin, and * for all; none implies another. A pattern names producers, packages as
PRODUCER/NAME, or repositories, and covers what lies below: ci-7, team/*, *.`,
		Example: `  artifactstore auth token new --name ci-7 --allow push:ci-7 --allow pull:* --expires 90d
  artifactstore auth token new --name ann --allow *:*`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := tokenOf(name, allow, expires, time.Now())
			if err != nil {
				return err
			}
			return makeToken(cmd, f, t)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the principal, which is its producer too")
	cmd.Flags().StringArrayVar(&allow, "allow", nil, "`GRANT` of what it may do; can be given again")
	cmd.Flags().StringVar(&expires, "expires", "", "`DURATION` after which it is no longer good, such as 90d; without one never")
	return cmd
}

// tokenOf is the token that is asked for, without its secret.
func tokenOf(name string, allow []string, expires string, now time.Time) (cas.Token, error) {
	t := cas.Token{ID: newTokenID(), Principal: name, Grants: allow}
	switch {
	case name == "":
		return t, usagef("--name is missing: want the name of who has the token")
	case len(allow) == 0:
		return t, usagef("--allow is missing: want a grant, such as pull:*")
	}
	if err := auth.CheckName(name); err != nil {
		return t, usageError{err}
	}
	for _, text := range allow {
		if _, err := auth.ParseGrant(text); err != nil {
			return t, usageError{err}
		}
	}
	if expires == "" {
		return t, nil
	}
	d, err := config.ParseDuration(expires)
	if err != nil {
		return t, usagef("--expires: %w", err)
	}
	if d.Length() == 0 {
		return t, usagef("--expires: a token that expires at once is good for nothing")
	}
	t.ExpiresAt = now.Add(d.Length())
	return t, nil
}

// newTokenID returns what a token is called by, which is no secret.
func newTokenID() string {
	var b [6]byte
	rand.Read(b[:])
	return "t" + hex.EncodeToString(b[:])
}

func makeToken(cmd *cobra.Command, f *flags, t cas.Token) error {
	text := auth.NewToken()
	sum := sha256.Sum256([]byte(text))
	t.Hash = digest.New(digest.SHA256, sum[:])
	return withStore(cmd, f, func(ctx context.Context, s *cas.Store) error {
		made, err := s.CreateToken(ctx, t, operator)
		if err != nil {
			return err
		}
		if f.json {
			return printJSON(cmd, struct {
				tokenRow
				Token string `json:"token"`
			}{rowOf(made, time.Now()), text})
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "token %s of %s may %s, %s; it is shown only now\n",
			made.ID, made.Principal, strings.Join(made.Grants, " "), tokenEnd(made.ExpiresAt))
		_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
		return err
	})
}

func tokenEnd(t time.Time) string {
	if t.IsZero() {
		return "until it is revoked"
	}
	return "until " + t.Local().Format(time.DateTime)
}

// tokenRow is what is shown of a token.
type tokenRow struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Allow     []string   `json:"allow"`
	State     string     `json:"state"` // good, expired, revoked
	CreatedBy string     `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"` // null: never
	RevokedAt *time.Time `json:"revoked_at"` // null: not
}

func rowOf(t cas.Token, now time.Time) tokenRow {
	r := tokenRow{ID: t.ID, Name: t.Principal, Allow: t.Grants, State: "good", CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt}
	if !t.ExpiresAt.IsZero() {
		r.ExpiresAt = &t.ExpiresAt
		if !now.Before(t.ExpiresAt) {
			r.State = "expired"
		}
	}
	if !t.RevokedAt.IsZero() {
		r.RevokedAt, r.State = &t.RevokedAt, "revoked"
	}
	return r
}

func tokenListCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tokens of the registry",
		Long: `List the tokens of the registry, also those that are no longer good: whose they are
and what they allow, never the tokens themselves.`,
		Example: `  artifactstore auth token list
  artifactstore auth token list --json`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd, f, func(ctx context.Context, s *cas.Store) error {
				rows, err := tokenRows(ctx, s)
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(cmd, rows)
				}
				return showTokens(cmd, rows)
			})
		},
	}
}

// tokenPage is how many tokens are asked for at once.
const tokenPage = 500

func tokenRows(ctx context.Context, s *cas.Store) ([]tokenRow, error) {
	rows, after, now := []tokenRow{}, "", time.Now()
	for {
		page, err := s.Tokens(ctx, after, tokenPage)
		if err != nil {
			return nil, err
		}
		for _, t := range page {
			rows = append(rows, rowOf(t, now))
			after = t.ID
		}
		if len(page) < tokenPage {
			break
		}
	}
	slices.SortStableFunc(rows, func(a, b tokenRow) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return rows, nil
}

func showTokens(cmd *cobra.Command, rows []tokenRow) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tSTATE\tCREATED\tBY\tEXPIRES\tALLOW")
	for _, r := range rows {
		expires := "never"
		if r.ExpiresAt != nil {
			expires = r.ExpiresAt.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			r.ID, r.Name, r.State, r.CreatedAt.Local().Format(time.DateTime), r.CreatedBy, expires, strings.Join(r.Allow, " "))
	}
	return w.Flush()
}

func tokenRevokeCommand(f *flags) *cobra.Command {
	return &cobra.Command{
		Use:     "revoke ID",
		Short:   "End a token, at once and everywhere",
		Long:    `End a token: every gateway refuses it from now on. "list" shows the IDs.`,
		Example: `  artifactstore auth token revoke t1f0a94b2c3d7`,
		Args:    exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd, f, func(ctx context.Context, s *cas.Store) error {
				err := s.RevokeToken(ctx, args[0], operator)
				if errors.Is(err, cas.ErrTokenUnknown) {
					return fmt.Errorf("there is no token %q; \"artifactstore auth token list\" shows those there are", args[0])
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "token %s is revoked\n", args[0])
				return nil
			})
		},
	}
}
