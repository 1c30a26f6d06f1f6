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
	var o eventsShown
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what has happened, from the event log",
		Long: `Show the event log, oldest first: one line an event, or one JSON document a line
with --json. --follow goes on with what happens from now on.`,
		Example: `  artifactstore events
  artifactstore events --after 1000 --json | jq .type
  artifactstore events --actor ci-7
  artifactstore events --follow`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return showEvents(cmd, f, o)
		},
	}
	cmd.Flags().Uint64Var(&o.after, "after", 0, "begin after this `POSITION`")
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "wait for more")
	cmd.Flags().StringVar(&o.actor, "actor", "", "show only what this `NAME` did")
	return cmd
}

// eventsShown says which events are shown.
type eventsShown struct {
	after  uint64
	follow bool
	actor  string // empty is everybody
}

// showEvents shows page after page until the log has no more, or, following, for
// ever.
func showEvents(cmd *cobra.Command, f *flags, o eventsShown) error {
	c, err := newClient(f)
	if err != nil {
		return err
	}
	wait := time.Duration(0)
	if o.follow {
		wait = followWait
	}
	for {
		page, next, err := c.Events(cmd.Context(), o.after, eventPage, wait)
		switch {
		case err != nil && o.follow && cmd.Context().Err() != nil:
			return nil // Ctrl-C is how a follower ends
		case err != nil:
			return fmt.Errorf("events: %w", unreached(f, err))
		case len(page) == 0 && !o.follow:
			return nil
		}
		for _, e := range page {
			if o.actor != "" && e.Actor != o.actor {
				continue
			}
			if err := showEvent(cmd, f, e); err != nil {
				return err
			}
		}
		o.after = next
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
