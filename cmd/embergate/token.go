package main

import (
	"time"

	"embergate/gateway/access"
	"embergate/gateway/console"

	"github.com/spf13/cobra"
)

func tokenVerb() *cobra.Command {
	c := &cobra.Command{Use: "token", Short: "The tokens with which programs use the API; also while the daemon runs"}
	var file string
	c.PersistentFlags().StringVarP(&file, "config", "c", "", "the configuration")
	c.AddCommand(addToken(&file), listTokens(&file), removeToken(&file))
	return c
}

func addToken(file *string) *cobra.Command {
	var role string
	c := insideVerb(file, "add -c FILE --role R NAME", "Makes a token and prints it, this once, as the last word of its line", func(in insider, name string) error {
		token, err := in.AddToken(in.cmd.Context(), time.Now(), name, access.Role(role), in.who, in.from)
		if err != nil {
			return err
		}
		say(in.cmd.OutOrStdout(), in.lang, "the token of %s, which is shown only now: %s", name, token)
		return nil
	})
	c.Flags().StringVar(&role, "role", "", "viewer, duty, maintainer or admin")
	return c
}

func listTokens(file *string) *cobra.Command {
	return insideList(file, "Lists the tokens by name, with when and from where each was used last", func(in insider) (any, [][]string, error) {
		all, err := in.Tokens(in.cmd.Context())
		var rows [][]string
		for _, t := range all {
			used := in.lang.Say("never used")
			if !t.Used.IsZero() {
				used = t.Used.Local().Format(time.DateTime) + " " + t.Address
			}
			rows = append(rows, []string{t.Name, string(t.Role), t.By, used})
		}
		return console.Tokens(all), rows, err
	})
}

func removeToken(file *string) *cobra.Command {
	return insideVerb(file, "remove -c FILE NAME", "Removes a token; whoever has it is refused from now on", func(in insider, name string) error {
		if err := in.RemoveToken(in.cmd.Context(), time.Now(), name, in.who, in.from); err != nil {
			return err
		}
		say(in.cmd.OutOrStdout(), in.lang, "the token of %s opens nothing any more", name)
		return nil
	})
}
