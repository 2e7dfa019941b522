package main

import (
	"errors"
	"io/fs"

	"embergate/gateway/store"

	"github.com/spf13/cobra"
)

func backupVerb() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "backup -c FILE OUT",
		Short: "Copies journal, alarms, messages, settings, pictures and the configurations that were kept to OUT, also while the daemon runs; telemetry is not in it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, lang, err := valid(cmd, file)
			if err != nil {
				return err
			}
			done, err := g.Backup(cmd.Context(), args[0])
			switch {
			case errors.Is(err, fs.ErrExist):
				return errors.New(lang.Say("%s is already there; a backup overwrites nothing", args[0]))
			case errors.Is(err, fs.ErrNotExist):
				return errors.New(lang.Say("there is nothing to back up yet: %s", err))
			case err != nil:
				return errors.New(lang.Say("no backup was made: %s", err))
			}
			say(cmd.OutOrStdout(), lang, "in %s, and checked: %d events, %d pictures, %d configurations", args[0], done.Events, done.Photos, done.Configs)
			if done.Left > 0 {
				say(cmd.OutOrStdout(), lang, "not in it: %d pictures or configurations that are damaged, or too many", done.Left)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	return c
}

func restoreVerb() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "restore -c FILE IN",
		Short: "Puts a backup in the place of the state; the daemon must not run, and the old state stays beside it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, lang, err := valid(cmd, file)
			if err != nil {
				return err
			}
			done, err := g.Restore(cmd.Context(), args[0])
			switch {
			case errors.Is(err, store.ErrRunning):
				return errors.New(lang.Say("the daemon runs; stop it first, nothing was changed"))
			case errors.Is(err, store.ErrNotBackup):
				return errors.New(lang.Say("%s is not a whole backup, nothing was changed: %s", args[0], err))
			case err != nil:
				return errors.New(lang.Say("not restored: %s", err))
			}
			say(cmd.OutOrStdout(), lang, "restored: %d events, %d pictures, %d configurations", done.Events, done.Photos, done.Configs)
			if done.Old != "" {
				say(cmd.OutOrStdout(), lang, "the state before is kept as %s", done.Old)
			}
			if done.Configs > 0 {
				say(cmd.OutOrStdout(), lang, "to see the configurations and put one back: embergate config history -c %s, embergate config rollback -c %s", file, file)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "the configuration")
	return c
}
