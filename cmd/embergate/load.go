package main

import (
	"errors"
	"log/slog"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway"

	"github.com/spf13/cobra"
)

// verbOptions are those of a gateway that a verb makes and does not run: it logs nothing.
func verbOptions() gateway.Options {
	return gateway.Options{Protocols: protocols, Version: version, Log: slog.New(slog.DiscardHandler)}
}

// valid makes the gateway of a configuration without a mistake, for a verb that does not run it.
func valid(cmd *cobra.Command, file string) (*gateway.Gateway, i18n.Lang, error) {
	g, _, lang, err := load(cmd, file, verbOptions())
	return g, lang, err
}

// load reads a configuration and makes its gateway; one with mistakes is refused, with all of them.
func load(cmd *cobra.Command, file string, o gateway.Options) (*gateway.Gateway, conf.Section, i18n.Lang, error) {
	lang, err := language(cmd, i18n.Chinese)
	if err != nil {
		return nil, conf.Section{}, lang, err
	}
	root, err := openConfig(lang, file)
	if err != nil {
		return nil, root, lang, err
	}
	g, err := gateway.New(root, o)
	if err != nil {
		return nil, root, lang, err
	}
	if lang, err = language(cmd, g.Language()); err != nil {
		return nil, root, lang, err
	}
	if problems := root.Problems(); problems != nil {
		return nil, root, lang, invalid{errors.New(problems.In(lang))}
	}
	return g, root, lang, nil
}

// openConfig reads a configuration file, which may have any mistake but that it is not there.
func openConfig(lang i18n.Lang, file string) (conf.Section, error) {
	if file == "" {
		return conf.Section{}, invalid{errors.New(lang.Say("which configuration? give it with -c FILE"))}
	}
	root, err := conf.Load(file, conf.OS())
	if err != nil {
		return root, invalid{errors.New(lang.Say("the configuration cannot be read: %s", err))}
	}
	return root, nil
}
