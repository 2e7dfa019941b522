package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"embergate/drivers/i18n"
	"embergate/gateway/monthly"

	"github.com/spf13/cobra"
)

func reportVerb() *cobra.Command {
	var daemon client
	var month, format, target string
	c := &cobra.Command{
		Use:   "report --month 2026-10 [-o FILE] [--format html|csv]",
		Short: "The report of a month: availability, alarms and verdicts, response times, false alarms, drills, duty checks, hazards",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if daemon.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			return report(cmd, &daemon, month, format, target)
		},
	}
	daemon.flags(c)
	f := c.Flags()
	f.StringVar(&month, "month", "", "the month (default: the one that is on)")
	f.StringVar(&format, "format", "html", "html, which prints on A4, or csv for a spreadsheet")
	f.StringVarP(&target, "output", "o", "", "where to write (default: standard output)")
	return c
}

func report(cmd *cobra.Command, daemon *client, month, format, target string) error {
	lang := daemon.lang
	if format != "html" && format != "csv" {
		return invalid{errors.New(lang.Say("--format %s: html or csv", format))}
	}
	var r monthly.Report
	if err := daemon.get(cmd.Context(), "/api/v1/report?month="+url.QueryEscape(month), &r); err != nil {
		return fmt.Errorf("%s", lang.Say("no report: %s", err))
	}
	write := func(w io.Writer) error { return r.WriteHTML(w, lang, "") }
	if format == "csv" {
		write = func(w io.Writer) error { return r.WriteCSV(w, lang) }
	}
	if target == "" {
		return write(cmd.OutOrStdout())
	}
	if err := writeWhole(target, 0o600, write); err != nil { // it holds names
		return errors.New(lang.Say("the report was not written: %s", err))
	}
	say(cmd.OutOrStdout(), lang, "the report of %s is in %s", r.From.Format("2006-01"), filepath.Clean(target))
	return nil
}

// writeWhole writes beside the target and puts it in its place, with a mode, when it is whole. Into a device, a pipe, or what a
// link such as /dev/stdout leads to, it writes at once: they are not to be put away.
func writeWhole(target string, mode fs.FileMode, write func(io.Writer) error) error {
	if info, err := os.Lstat(target); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(target), ".embergate-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(write(f), f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), target)
}
