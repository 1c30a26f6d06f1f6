package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"artifactstore/gateway/client"
)

// eventPage is how many events are asked for at once, followWait how long a
// follower's question stays open.
const (
	eventPage  = 500
	followWait = 30 * time.Second
)

func eventsCommand(f *flags) *cobra.Command {
	var after uint64
	var follow bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what has happened, from the event log",
		Long: `Show the event log, oldest first: one line an event, or one JSON document a line
with --json. --follow goes on with what happens from now on.`,
		Example: `  artifactstore events
  artifactstore events --after 1000 --json | jq .type
  artifactstore events --follow`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showEvents(cmd, f, after, follow)
		},
	}
	cmd.Flags().Uint64Var(&after, "after", 0, "begin after this `POSITION`")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more")
	return cmd
}

// showEvents shows page after page until the log has no more, or, following, for
// ever.
func showEvents(cmd *cobra.Command, f *flags, after uint64, follow bool) error {
	c, wait := newClient(f), time.Duration(0)
	if follow {
		wait = followWait
	}
	for {
		page, next, err := c.Events(cmd.Context(), after, eventPage, wait)
		switch {
		case err != nil && follow && cmd.Context().Err() != nil:
			return nil // Ctrl-C is how a follower ends
		case err != nil:
			return fmt.Errorf("events: %w", unreached(f, err))
		case len(page) == 0 && !follow:
			return nil
		}
		for _, e := range page {
			if err := showEvent(cmd, f, e); err != nil {
				return err
			}
		}
		after = next
	}
}

func showEvent(cmd *cobra.Command, f *flags, e client.Event) error {
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%8d  %s  %-30s  %-12s  %s\n",
		e.Position, e.Time.Local().Format(time.DateTime), e.Type, e.Actor, e.Subject)
	return err
}
