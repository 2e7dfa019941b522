package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"embergate/drivers/i18n"
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
	c := &cobra.Command{
		Use:   "add -c FILE --role R NAME",
		Short: "Makes a token and prints it, this once, as the last word of its line",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inside(cmd, *file, func(ctx context.Context, lang i18n.Lang, a *access.Access, who access.Identity, from access.Origin) error {
				token, err := a.AddToken(ctx, time.Now(), args[0], access.Role(role), who, from)
				if err != nil {
					return err
				}
				say(cmd.OutOrStdout(), lang, "the token of %s, which is shown only now: %s", args[0], token)
				return nil
			})
		},
	}
	c.Flags().StringVar(&role, "role", "", "viewer, duty, maintainer or admin")
	return c
}

func listTokens(file *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list -c FILE",
		Short: "Lists the tokens by name, with when and from where each was used last",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return inside(cmd, *file, func(ctx context.Context, lang i18n.Lang, a *access.Access, _ access.Identity, _ access.Origin) error {
				all, err := a.Tokens(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), console.Tokens(all))
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, t := range all {
					used := lang.Say("never used")
					if !t.Used.IsZero() {
						used = t.Used.Local().Format(time.DateTime) + " " + t.Address
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, t.Role, t.By, used)
				}
				return w.Flush()
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func removeToken(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "remove -c FILE NAME",
		Short: "Removes a token; whoever has it is refused from now on",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inside(cmd, *file, func(ctx context.Context, lang i18n.Lang, a *access.Access, who access.Identity, from access.Origin) error {
				if err := a.RemoveToken(ctx, time.Now(), args[0], who, from); err != nil {
					return err
				}
				say(cmd.OutOrStdout(), lang, "the token of %s opens nothing any more", args[0])
				return nil
			})
		},
	}
}
