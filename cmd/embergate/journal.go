package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"embergate/gateway"
	"embergate/gateway/store"

	"github.com/spf13/cobra"
)

func journalVerb() *cobra.Command {
	c := &cobra.Command{Use: "journal", Short: "The journal of all events: check it, export it; also while the daemon runs"}
	var file string
	c.PersistentFlags().StringVarP(&file, "config", "c", "", "the configuration")
	verify := &cobra.Command{
		Use:   "verify -c FILE",
		Short: "Checks the hash chain; names the first event that was changed, removed or swapped",
		RunE:  func(cmd *cobra.Command, _ []string) error { return verifyJournal(cmd, file) },
	}
	var format, target string
	var sel gateway.Selection
	export := &cobra.Command{
		Use:   "export -c FILE [--format csv|jsonl] [--from TIME] [--to TIME] [--class C] [--device ID] [-o FILE]",
		Short: "Writes the events as CSV for a spreadsheet, or as JSON lines",
		RunE:  func(cmd *cobra.Command, _ []string) error { return exportJournal(cmd, file, format, target, sel) },
	}
	f := export.Flags()
	f.StringVar(&format, "format", "csv", "csv or jsonl")
	f.StringVar(&sel.From, "from", "", "the first time or day, in the site's time zone")
	f.StringVar(&sel.To, "to", "", "the time before which it ends, or the last day")
	f.StringVar(&sel.Class, "class", "", "events of alarms of this class only")
	f.StringVar(&sel.Device, "device", "", "events of alarms of this device only")
	f.StringVarP(&target, "output", "o", "", "where to write (default: standard output)")
	c.AddCommand(verify, export)
	return c
}

func verifyJournal(cmd *cobra.Command, file string) error {
	g, lang, err := valid(cmd, file)
	if err != nil {
		return err
	}
	n, err := g.VerifyJournal(cmd.Context())
	var broken *store.ChainError
	switch {
	case errors.As(err, &broken):
		return errors.New(lang.Say("the journal was changed: event %d does not fit (%s); the %d events before it do", broken.Seq, broken.What, n))
	case err != nil:
		return errors.New(lang.Say("the journal cannot be read: %s", err))
	}
	say(cmd.OutOrStdout(), lang, "the journal is whole: %d events, each fits the one before it", n)
	return nil
}

func exportJournal(cmd *cobra.Command, file, format, target string, sel gateway.Selection) error {
	g, lang, err := valid(cmd, file)
	if err != nil {
		return err
	}
	var n int
	if target == "" {
		_, err = g.ExportJournal(cmd.Context(), cmd.OutOrStdout(), format, sel)
	} else {
		n, err = exportTo(cmd.Context(), g, target, format, sel)
	}
	var bad *gateway.BadSelection
	switch {
	case errors.As(err, &bad):
		return invalid{errors.New(lang.Say(bad.Text.Format, bad.Text.Args...))}
	case err != nil:
		return errors.New(lang.Say("the journal was not exported: %s", err))
	case target != "":
		say(cmd.OutOrStdout(), lang, "%d events are in %s", n, target)
	}
	return nil
}

// exportTo writes beside the target and puts it in its place when it is whole, readable for its owner only: a journal
// holds names.
func exportTo(ctx context.Context, g *gateway.Gateway, target, format string, sel gateway.Selection) (n int, err error) {
	err = writeWhole(target, 0o600, func(f io.Writer) (err error) {
		n, err = g.ExportJournal(ctx, f, format, sel)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", target, err)
	}
	return n, nil
}
