package main

import (
	"errors"
	"io"
	"net/url"

	"embergate/drivers/i18n"

	"github.com/spf13/cobra"
)

// noteVerb adds words to an alarm.
func noteVerb(daemon *client) *cobra.Command {
	return actVerb(daemon, "note", "Adds to an alarm what somebody says of it, in --note; a closed one too", nil)
}

// incidentVerb writes an alarm as a page that needs nothing beside itself: a browser prints it, on paper or to PDF.
func incidentVerb(daemon *client) *cobra.Command {
	var target string
	c := &cobra.Command{
		Use:   "report ALARM [-o FILE]",
		Short: "Writes an alarm on paper: timeline, deliveries, notes, pictures; a page for the printer, or to save as PDF",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			id, err := daemon.identify(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var page []byte
			if err := daemon.get(cmd.Context(), "/api/v1/alarms/"+url.PathEscape(id)+"/report?embed=1", &page); err != nil {
				return err
			}
			if target == "" {
				_, err = cmd.OutOrStdout().Write(page)
				return err
			}
			err = writeWhole(target, 0o600, func(w io.Writer) error { _, err := w.Write(page); return err }) // it holds names
			if err != nil {
				return errors.New(daemon.lang.Say("the report was not written: %s", err))
			}
			say(cmd.OutOrStdout(), daemon.lang, "the report is in %s; a browser prints it", target)
			return nil
		},
	}
	c.Flags().StringVarP(&target, "output", "o", "", "where to write (default: standard output)")
	return c
}
