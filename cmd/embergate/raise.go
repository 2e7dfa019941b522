package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"

	"github.com/spf13/cobra"
)

// lookTime is how often a test alarm is looked at.
const lookTime = 500 * time.Millisecond

// raiseVerb is a short drill that waits for what comes of it: from the reading to the messages, each marked.
func raiseVerb(daemon *client) *cobra.Command {
	var body act
	var test bool
	var wait time.Duration
	c := &cobra.Command{
		Use:   "raise --test --signal DEVICE.SIGNAL",
		Short: "Raises a marked test alarm through the whole chain, waits until people were told, ends it and prints its timing",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			if !test || body.Signal == "" || wait <= 0 {
				return invalid{errors.New(daemon.lang.Say("by hand an alarm is raised for a test only: --test --signal DEVICE.SIGNAL [--wait 1m]"))}
			}
			if body.Note == "" {
				body.Note = "alarms raise --test"
			}
			body.lasts(wait + time.Minute) // if this verb dies, it ends all the same
			var d console.Drill
			if err := daemon.post(cmd.Context(), "/api/v1/drills", body, &d); err != nil {
				return err
			}
			told, waited := daemon.awaitTold(cmd.Context(), d.ID, wait)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), clientTimeout)
			defer cancel()
			err = daemon.post(ctx, "/api/v1/drills/stop", act{By: body.By}, &d)
			var no *refused
			if errors.As(err, &no) && no.Status == http.StatusConflict { // something else ended it, such as a real alarm
				d, err = daemon.drill(ctx, d.ID)
			}
			if err = errors.Join(waited, err); err != nil {
				return err
			}
			printDrill(cmd, daemon.lang, d)
			return told.verdict(daemon.lang, body.Signal, wait)
		},
	}
	f := c.Flags()
	f.BoolVar(&test, "test", false, "it is a test: every message is marked")
	f.StringVar(&body.Signal, "signal", "", "what is taken to be in alarm")
	f.StringVar(&body.By, "by", "", "who does it")
	f.StringVar(&body.Note, "note", "", "why")
	f.DurationVar(&wait, "wait", time.Minute, "how long to wait until somebody is told")
	return c
}

// told is how far a test alarm came.
type told struct{ raised, delivered bool }

func (t told) verdict(lang i18n.Lang, signal string, wait time.Duration) error {
	switch {
	case !t.raised:
		return errors.New(lang.Say("no rule raised an alarm of %s within %s", signal, wait))
	case !t.delivered:
		return errors.New(lang.Say("the alarm was raised, but no channel took a message within %s", wait))
	}
	return nil
}

// awaitTold waits until a channel took a message of a drill, the drill is over, or the time is.
func (c *client) awaitTold(ctx context.Context, id string, wait time.Duration) (t told, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		d, err := c.drill(ctx, id)
		if ctx.Err() != nil {
			return t, nil
		}
		if err != nil {
			return t, err
		}
		var ledger []console.Delivery
		if err := c.get(ctx, "/api/v1/deliveries?limit=200", &ledger); err != nil && ctx.Err() == nil {
			return t, err
		}
		t.raised = t.raised || slices.ContainsFunc(d.Steps, func(s console.DrillStep) bool { return s.Event == alarm.EventRaised })
		t.delivered = slices.ContainsFunc(ledger, func(l console.Delivery) bool {
			return l.Type == alarm.EventRaised && l.Outcome == string(store.Accepted) && !l.Time.Before(d.Started)
		})
		if t.raised && t.delivered || d.Ended != nil {
			return t, nil
		}
		select {
		case <-time.After(lookTime):
		case <-ctx.Done():
		}
	}
}

// drill is one of those that the daemon remembers.
func (c *client) drill(ctx context.Context, id string) (console.Drill, error) {
	var all []console.Drill
	if err := c.get(ctx, "/api/v1/drills", &all); err != nil {
		return console.Drill{}, err
	}
	if i := slices.IndexFunc(all, func(d console.Drill) bool { return d.ID == id }); i >= 0 {
		return all[i], nil
	}
	return console.Drill{}, errors.New(c.lang.Say("the daemon knows nothing of drill %s", id))
}
