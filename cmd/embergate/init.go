package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"embergate/deploy"
	"embergate/drivers/i18n"

	"github.com/spf13/cobra"
)

func initVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Writes a small working configuration with comments",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			file := filepath.Join(args[0], "embergate.yaml")
			if err := os.MkdirAll(args[0], 0o750); err != nil {
				return err
			}
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
			if errors.Is(err, fs.ErrExist) {
				return errors.New(lang.Say("%s is already there and was not touched", file))
			}
			if err != nil {
				return err
			}
			if _, err := f.Write(deploy.Example(args[0])); err != nil {
				return errors.Join(err, f.Close())
			}
			if err := f.Close(); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), lang.Say("%s is written; look at it, then: embergate check -c %[1]s", file))
			return err
		},
	}
}
