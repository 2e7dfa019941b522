// Command embergate is the daemon of a home, and the tools around it. Each verb has a file here; what they do lives in
// package gateway and below.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // small boxes have no zoneinfo

	"embergate/drivers/i18n"

	"github.com/spf13/cobra"
)

// version is set by the build: -ldflags "-X main.version=1.2.3".
var version = "dev"

// The exit statuses of the contract, section 1.
const (
	exitDone    = 0
	exitFailed  = 1
	exitInvalid = 2
)

// invalid is an error for which the exit status is 2: wrong usage, or a configuration with mistakes.
type invalid struct{ error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP, syscall.SIGUSR1)
	os.Exit(runWith(ctx, os.Args[1:], os.Stdout, os.Stderr, hangup))
}

// run is runWith for verbs that are never told to reload.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	return runWith(ctx, args, out, errs, nil)
}

// runWith is the program without its process: arguments and reload signals in, exit status out.
func runWith(ctx context.Context, args []string, out, errs io.Writer, hangup <-chan os.Signal) int {
	root := &cobra.Command{
		Use:           "embergate",
		Short:         "Reads a home's fire, gas, electrical and water sensors, alarms the people on duty, and reports to the platform",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return invalid{fmt.Errorf("unknown verb %q", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().String("language", "", "language of what is printed: zh or en (default: the site's)")
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return invalid{err} })
	root.AddCommand(runVerb(hangup), demoVerb(), checkVerb(), initVerb(), profilesVerb(), journalVerb(), userVerb(), tokenVerb(), backupVerb(), restoreVerb(), alarmsVerb(), rulesVerb(), drillVerb(), zonesVerb(), reportVerb(), notifyVerb(), simulateVerb(), signalsVerb(), readVerb(), scanVerb(), probeVerb(), configVerb(), logVerb(), doctorVerb(), versionVerb())
	for _, c := range root.Commands() {
		strict(c)
	}
	err := root.ExecuteContext(ctx)
	var usage invalid
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintln(errs, err)
		return exitInvalid
	default:
		fmt.Fprintln(errs, err)
		return exitFailed
	}
}

// strict makes wrong arguments of a verb, and of those below it, wrong usage.
func strict(c *cobra.Command) {
	allowed := c.Args
	if allowed == nil {
		allowed = cobra.NoArgs
	}
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := allowed(cmd, args); err != nil {
			return invalid{err}
		}
		return nil
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	for _, below := range c.Commands() {
		strict(below)
	}
}

// language is the one asked for, else the fallback.
func language(cmd *cobra.Command, fallback i18n.Lang) (i18n.Lang, error) {
	asked, err := cmd.Flags().GetString("language")
	if err != nil || asked == "" {
		return fallback, err
	}
	for _, l := range i18n.Langs {
		if string(l) == asked {
			return l, nil
		}
	}
	return fallback, invalid{fmt.Errorf("--language %s: zh or en", asked)}
}
