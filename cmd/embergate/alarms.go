package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/alarm"

	"github.com/spf13/cobra"
)

func alarmsVerb() *cobra.Command {
	c := &cobra.Command{Use: "alarms", Short: "The alarms of a running daemon, and what people do to them"}
	var daemon client
	daemon.flags(c)
	c.AddCommand(listAlarms(&daemon))
	for _, a := range []struct{ name, short string }{
		{"ack", "Says that somebody is on it; repeats and escalation stop"},
		{"silence", "Turns the sound off; the alarm stays"},
		{"reset", "Ends an alarm that has cleared and was acknowledged"},
	} {
		c.AddCommand(actVerb(&daemon, a.name, a.short, nil))
	}
	c.AddCommand(shelveVerb(&daemon), verdictVerb(&daemon), noteVerb(&daemon), incidentVerb(&daemon), raiseVerb(&daemon))
	return c
}

func listAlarms(daemon *client) *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Lists the open alarms, the most urgent first",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			state := "open"
			if all {
				state = "all"
			}
			var raw json.RawMessage
			if err := daemon.get(cmd.Context(), "/api/v1/alarms?limit=1000&state="+state, &raw); err != nil {
				return err
			}
			if asJSON {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
				return err
			}
			var alarms []alarm.Alarm
			if err := json.Unmarshal(raw, &alarms); err != nil {
				return err
			}
			if len(alarms) == 0 {
				say(cmd.OutOrStdout(), daemon.lang, "no alarm is open")
				return nil
			}
			at := daemon.location(cmd.Context())
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, a := range alarms {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", a.ID, a.RaisedAt.In(at).Format(time.DateTime), marked(a, daemon.lang), subject(a), stateOf(a, daemon.lang))
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	c.Flags().BoolVar(&all, "all", false, "closed ones too, the newest first")
	return c
}

// marked is the level of an alarm with its mark, if it has one.
func marked(a alarm.Alarm, lang i18n.Lang) string {
	level := lang.Say(map[string]string{"alarm": "Alarm", "prealarm": "Pre-alarm", "fault": "Fault", "notice": "Notice"}[string(a.Level)])
	switch {
	case a.Drill:
		level = lang.Say("Drill") + " · " + level
	case a.Test:
		level = lang.Say("Test") + " · " + level
	}
	return level
}

// subject is where and what, and the value where there is one.
func subject(a alarm.Alarm) string {
	words := []string{a.ZonePath, a.DeviceName, a.Name}
	if a.Value != nil && a.Unit != "" {
		words = append(words, strconv.FormatFloat(*a.Value, 'f', -1, 64)+" "+a.Unit)
	}
	return strings.Join(strings.Fields(strings.Join(words, " ")), " ")
}

var stateWords = map[alarm.State]i18n.Text{
	alarm.Unacknowledged: i18n.T("nobody has answered yet"),
	alarm.Returned:       i18n.T("over, but nobody has answered"),
	alarm.Latched:        i18n.T("over, waits for reset"),
	alarm.Closed:         i18n.T("closed"),
}

func stateOf(a alarm.Alarm, lang i18n.Lang) string {
	if a.State == alarm.Acknowledged {
		return lang.Say("%s is on it", a.AcknowledgedBy)
	}
	return lang.Say(stateWords[a.State].Format)
}

// actVerb is one act on alarms; more adds to the body what the act needs besides who and why.
func actVerb(daemon *client, name, short string, more func(lang i18n.Lang, body map[string]any) error) *cobra.Command {
	var by, note string
	c := &cobra.Command{
		Use:   name + " ALARM …",
		Short: short + "; ALARM is its id or the number that it begins with",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, ids []string) (err error) {
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			body := map[string]any{"by": by, "note": note}
			if more != nil {
				if err := more(daemon.lang, body); err != nil {
					return err
				}
			}
			var failed error
			for _, id := range ids {
				if err := daemon.act(cmd.Context(), id, name, body, cmd); err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s: %w", id, err))
				}
			}
			return failed
		},
	}
	c.Flags().StringVar(&by, "by", "", "who does it")
	c.Flags().StringVar(&note, "note", "", "what to keep of it in the journal")
	return c
}

// act does one act on one alarm and prints how the alarm is then.
func (c *client) act(ctx context.Context, id, name string, body map[string]any, cmd *cobra.Command) error {
	id, err := c.identify(ctx, id)
	if err != nil {
		return err
	}
	var after struct{ alarm.Alarm }
	if err := c.post(ctx, "/api/v1/alarms/"+url.PathEscape(id)+"/"+name, body, &after); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s  %s  %s\n", after.ID, subject(after.Alarm), stateOf(after.Alarm, c.lang))
	return nil
}

// identify completes the number with which an id begins: 42 is 00000042-1a20060f265.
func (c *client) identify(ctx context.Context, id string) (string, error) {
	number, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		return id, nil
	}
	var alarms []alarm.Alarm
	if err := c.get(ctx, "/api/v1/alarms?limit=1000&state=all", &alarms); err != nil {
		return "", err
	}
	for _, a := range alarms {
		first, _, _ := strings.Cut(a.ID, "-")
		if n, err := strconv.ParseInt(first, 10, 64); err == nil && n == number {
			return a.ID, nil
		}
	}
	return id, nil // the daemon says that there is none
}

func shelveVerb(daemon *client) *cobra.Command {
	var length time.Duration
	var second, passwordFile string
	var c *cobra.Command
	c = actVerb(daemon, "shelve", "Sets an alarm aside for at most 8 hours; needs a note, and for fire a second person with their password",
		func(lang i18n.Lang, body map[string]any) error {
			if length <= 0 {
				return invalid{errors.New(lang.Say("for how long? --for 1h"))}
			}
			body["until"], body["second"] = time.Now().Add(length), second
			if terminal, is := c.InOrStdin().(*os.File); second == "" || passwordFile == "" && !(is && onTerminal(terminal)) {
				return nil // a daemon that wants a password says so
			}
			password, err := typedPassword(c, lang, passwordFile, lang.Say("Password of %s", second))
			body["second_password"] = password
			return err
		})
	c.Flags().DurationVar(&length, "for", 0, "how long")
	c.Flags().StringVar(&second, "second", "", "the second person, for class fire")
	c.Flags().StringVar(&passwordFile, "second-password-file", "", "a file with the second person's password on its first line, - is standard input; without it the terminal asks")
	return c
}

func verdictVerb(daemon *client) *cobra.Command {
	var verdict string
	c := actVerb(daemon, "verdict", "Says what the alarm was", func(lang i18n.Lang, body map[string]any) error {
		if verdict == "" {
			return invalid{errors.New(lang.Say("what was it? --as real, false:CAUSE, drill, test or fault"))}
		}
		body["verdict"] = verdict
		return nil
	})
	c.Flags().StringVar(&verdict, "as", "", "real, false:CAUSE, drill, test or fault")
	return c
}
