package main

import (
	"errors"
	"fmt"
	"net/url"
	"text/tabwriter"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/console"

	"github.com/spf13/cobra"
)

// act is the body of what people do.
type act struct {
	By     string     `json:"by"`
	Note   string     `json:"note,omitempty"`
	Signal string     `json:"signal,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
}

// lasts is until for a length; nil for the usual one.
func (a *act) lasts(length time.Duration) {
	if length != 0 {
		until := time.Now().Add(length)
		a.Until = &until
	}
}

func drillVerb() *cobra.Command {
	c := &cobra.Command{Use: "drill", Short: "An exercise on a running daemon: a signal is taken to be in alarm, the whole chain runs, every message is marked"}
	var daemon client
	daemon.flags(c)
	var body act
	var length time.Duration
	start := &cobra.Command{
		Use:   "start --signal DEVICE.SIGNAL",
		Short: "Begins a drill; a real alarm ends it, and so does its time: 30 min unless --for says otherwise, 2 h at most",
		RunE: func(cmd *cobra.Command, _ []string) error {
			body.lasts(length)
			return changeDrill(cmd, &daemon, "/api/v1/drills", body)
		},
	}
	start.Flags().StringVar(&body.Signal, "signal", "", "what is taken to be in alarm")
	start.Flags().StringVar(&body.Note, "note", "", "what is exercised")
	start.Flags().DurationVar(&length, "for", 0, "how long at most")
	stop := &cobra.Command{
		Use:   "stop",
		Short: "Ends the drill and prints its timing; it is in the journal as well",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return changeDrill(cmd, &daemon, "/api/v1/drills/stop", act{By: body.By})
		},
	}
	for _, v := range []*cobra.Command{start, stop} {
		v.Flags().StringVar(&body.By, "by", "", "who does it")
	}
	c.AddCommand(start, stop, listDrills(&daemon))
	return c
}

func changeDrill(cmd *cobra.Command, daemon *client, path string, body act) (err error) {
	if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
		return err
	}
	var d console.Drill
	if err := daemon.post(cmd.Context(), path, body, &d); err != nil {
		return err
	}
	printDrill(cmd, daemon.lang, d)
	return nil
}

func printDrill(cmd *cobra.Command, lang i18n.Lang, d console.Drill) {
	out := cmd.OutOrStdout()
	if d.Ended == nil {
		say(out, lang, "%s  %s  drill on, ends by itself at %s", d.Started.Format(time.DateTime), d.Signal, d.Until.Format(time.TimeOnly))
	} else {
		say(out, lang, "%s  %s  drill ended after %s: %s", d.Started.Format(time.DateTime), d.Signal, d.Ended.Sub(d.Started).Round(time.Second), d.Why)
	}
	for _, s := range d.Steps {
		fmt.Fprintf(out, "  %8s  %s  %s  %s\n", "+"+seconds(s.After).String(), s.Event, s.Name, s.By)
	}
}

func listDrills(daemon *client) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Lists the drills held, with their timing",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			drills := []console.Drill{}
			if err := daemon.get(cmd.Context(), "/api/v1/drills", &drills); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), drills)
			}
			for _, d := range drills {
				printDrill(cmd, daemon.lang, d)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func zonesVerb() *cobra.Command {
	c := &cobra.Command{Use: "zones", Short: "Zones under test on a running daemon: their alarms are marked, and nothing of them leaves the site"}
	var daemon client
	daemon.flags(c)
	var body act
	var length time.Duration
	var end bool
	test := &cobra.Command{
		Use:   "test ZONE",
		Short: "Puts a zone under test; it ends by itself after 2 h unless --for says otherwise, 8 h at most",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			path := "/api/v1/zones/" + url.PathEscape(args[0]) + "/test"
			if end && length != 0 {
				return invalid{errors.New(daemon.lang.Say("--for and --end do not go together"))}
			}
			var t console.ZoneTest
			if end {
				if err := daemon.post(cmd.Context(), path+"/end", body, &t); err != nil {
					return err
				}
				say(cmd.OutOrStdout(), daemon.lang, "%s is not under test any more", t.ZonePath)
				return nil
			}
			body.lasts(length)
			if err := daemon.post(cmd.Context(), path, body, &t); err != nil {
				return err
			}
			say(cmd.OutOrStdout(), daemon.lang, "%s is under test until %s; nobody outside is told of alarms there", t.ZonePath, t.Until.Format(time.DateTime))
			return nil
		},
	}
	test.Flags().StringVar(&body.By, "by", "", "who does it")
	test.Flags().StringVar(&body.Note, "note", "", "why")
	test.Flags().DurationVar(&length, "for", 0, "how long")
	test.Flags().BoolVar(&end, "end", false, "ends the test of the zone")
	c.AddCommand(test, listTests(&daemon))
	return c
}

func listTests(daemon *client) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Lists the zones under test",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			tests := []console.ZoneTest{}
			if err := daemon.get(cmd.Context(), "/api/v1/tests", &tests); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), tests)
			}
			if len(tests) == 0 {
				say(cmd.OutOrStdout(), daemon.lang, "no zone is under test")
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, t := range tests {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", t.Zone, t.ZonePath, t.Until.Format(time.DateTime), t.By, t.Note)
			}
			return w.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}
