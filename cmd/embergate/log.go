package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/logs"

	"github.com/spf13/cobra"
)

func logVerb() *cobra.Command {
	c := &cobra.Command{Use: "log", Short: "What a running daemon logs"}
	var daemon client
	daemon.flags(c)
	var length time.Duration
	level := &cobra.Command{
		Use:   "level [MODULE debug|info|warn|error]",
		Short: "Lets a module log from a level on for a time, without a restart; drivers at debug log every frame. Alone: what is set",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 && len(args) != 2 {
				return errors.New("log level, or log level MODULE LEVEL")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			var set []logs.Level
			if len(args) == 0 {
				err = daemon.get(cmd.Context(), "/api/v1/log", &set)
			} else {
				body := map[string]any{"module": args[0], "level": args[1], "minutes": int((length + time.Minute - 1) / time.Minute)}
				err = daemon.post(cmd.Context(), "/api/v1/log", body, &set)
			}
			if err != nil {
				return err
			}
			if len(set) == 0 {
				say(cmd.OutOrStdout(), daemon.lang, "every module logs at level info")
			}
			at := daemon.location(cmd.Context())
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, l := range set {
				fmt.Fprintf(w, "%s\t%s\t%s\n", l.Module, l.Level, daemon.lang.Say("until %s", l.Until.In(at).Format(time.DateTime)))
			}
			return w.Flush()
		},
	}
	level.Flags().DurationVar(&length, "for", time.Hour, "how long, a week at most; 0 ends it")
	c.AddCommand(level)
	return c
}
