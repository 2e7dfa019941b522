package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway"

	"github.com/spf13/cobra"
)

func checkVerb() *cobra.Command {
	var file string
	var online bool
	var wait time.Duration
	var daemon client
	c := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Reports every mistake of a configuration, each at its line; reaches nothing, or with --online tries what it reaches",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := verbOptions()
			if online {
				o.Asked = gateway.Asked(nil)
				o.Now = throughDaemon(cmd, &daemon)
			}
			g, root, lang, err := load(cmd, file, o)
			if err != nil {
				return err
			}
			n := g.Size()
			say(cmd.OutOrStdout(), lang, "%s is valid: %d endpoints, %d devices, %d signals, %d rules", file, n.Endpoints, n.Devices, n.Signals, n.Rules)
			if plan := g.Plan(); len(plan) > 0 {
				fmt.Fprintln(cmd.OutOrStdout(), lines(lang, plan))
			}
			if warnings := g.Warnings(); warnings != nil {
				say(cmd.OutOrStdout(), lang, "but note:\n%s", warnings.In(lang))
			}
			if why, bad := g.CertificateTrouble(time.Now()); bad {
				say(cmd.OutOrStdout(), lang, "but note:\n%s", lang.Say(why.Format, why.Args...))
			}
			if !online {
				return nil
			}
			daemon.lang, daemon.config, daemon.site = lang, file, root.At("site").At("id").Value()
			return tryOut(cmd, lang, g.Probe(cmd.Context(), wait))
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "", "the configuration")
	f.BoolVar(&online, "online", false, "reads every device once, and reaches channels and uplinks without telling anybody; status 1 where one does not work")
	f.DurationVar(&wait, "wait", 10*time.Second, "how long to wait for devices")
	daemon.flagsBesideConfig(c)
	return c
}

// tryOut prints what came of trying everything; it fails where something does not work.
func tryOut(cmd *cobra.Command, lang i18n.Lang, all []gateway.Probed) error {
	w, bad := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0), 0
	for _, p := range all {
		mark := "+"
		if p.Bad {
			mark = "!"
			bad++
		}
		what := map[string]string{"device": "Device", "channel": "Channel", "uplink": "Uplink"}[p.What]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", mark, lang.Say(what), p.ID, lang.Say(p.Says.Format, p.Says.Args...))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return errors.New(lang.Say("%d of %d do not work", bad, len(all)))
	}
	return nil
}
