package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"
	"embergate/gateway/console"
	"embergate/gateway/store"
	"embergate/rules"

	"github.com/spf13/cobra"
)

func notifyVerb() *cobra.Command {
	c := &cobra.Command{Use: "notify", Short: "The channels that reach people: tries one, and shows how messages read"}
	c.AddCommand(testChannel(), previewVerb(), routeVerb())
	return c
}

// testChannel has the running daemon send, so that its ledger knows; with -c FILE it sends by itself, before there is a daemon.
func testChannel() *cobra.Command {
	var daemon client
	var file, by, to string
	c := &cobra.Command{
		Use:   "test CHANNEL",
		Short: "Sends a test message by a channel, and says what became of it; status 1 where it was not accepted",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if file != "" {
				return testOffline(cmd, file, args[0], to)
			}
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			var d console.Delivery
			body := struct {
				By string `json:"by,omitempty"`
				To string `json:"to,omitempty"`
			}{by, to}
			if err := daemon.post(cmd.Context(), "/api/v1/channels/"+url.PathEscape(args[0])+"/test", body, &d); err != nil {
				return err
			}
			return tested(cmd, daemon.lang, d.Channel, store.Outcome(d.Outcome), d.Detail, time.Duration(d.Latency*float64(time.Second)))
		},
	}
	daemon.flags(c)
	c.Flags().StringVar(&by, "by", "", "who does it")
	c.Flags().StringVar(&to, "to", "", "id of the person who gets it, where the channel reaches one at a time")
	c.Flags().StringVarP(&file, "config", "c", "", "send without a daemon, by the channel of this configuration")
	return c
}

func testOffline(cmd *cobra.Command, file, channel, to string) error {
	g, lang, err := valid(cmd, file)
	if err != nil {
		return err
	}
	d, err := g.TestChannel(cmd.Context(), channel, to, time.Now())
	var refused *alarm.Refused
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return invalid{errors.New(lang.Say("there is no channel %q", channel))}
	case errors.As(err, &refused):
		return invalid{errors.New(lang.Say(refused.Text.Format, refused.Text.Args...))}
	case err != nil:
		return err
	}
	return tested(cmd, lang, d.Channel, d.Outcome, d.Detail, d.Latency)
}

// tested says what became of a test.
func tested(cmd *cobra.Command, lang i18n.Lang, channel string, outcome store.Outcome, detail string, took time.Duration) error {
	took = took.Round(time.Millisecond)
	switch outcome {
	case store.Accepted:
		say(cmd.OutOrStdout(), lang, "%s: accepted after %s. %s", channel, took, detail)
		return nil
	case store.Never:
		return errors.New(lang.Say("%s: refused, and would be every time: %s", channel, detail))
	default:
		return errors.New(lang.Say("%s: not accepted now; a message would be tried again: %s", channel, detail))
	}
}

func previewVerb() *cobra.Command {
	var file, level, class string
	var over bool
	c := &cobra.Command{
		Use:   "preview -c FILE",
		Short: "Shows how an alarm reads in each channel, without sending anything",
		RunE: func(cmd *cobra.Command, _ []string) error {
			g, lang, err := valid(cmd, file)
			if err != nil {
				return err
			}
			if err := kindOfAlarm(lang, level, class); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for i, p := range g.Preview(rules.Level(level), rules.Class(class), over, time.Now()) {
				if i > 0 {
					fmt.Fprintln(out)
				}
				fmt.Fprintf(out, "── %s (%s)\n%s\n", p.Channel, p.Kind, p.Text)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	c.Flags().StringVar(&level, "level", "alarm", "level of the alarm")
	c.Flags().StringVar(&class, "class", "fire", "class of the alarm")
	c.Flags().BoolVar(&over, "over", false, "as it reads when it is over")
	return c
}
