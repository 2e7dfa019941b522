package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"embergate/drivers/i18n"
	"embergate/gateway/access"
	"embergate/gateway/console"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func userVerb() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "The people who may use console and API; also while the daemon runs"}
	var file string
	c.PersistentFlags().StringVarP(&file, "config", "c", "", "the configuration")
	c.AddCommand(addUser(&file), listUsers(&file), removeUser(&file), setPassword(&file))
	return c
}

// inside runs a change of people on the state of a configuration, in the name of whoever is logged in to the machine.
func inside(cmd *cobra.Command, file string, do func(ctx context.Context, lang i18n.Lang, a *access.Access, who access.Identity, from access.Origin) error) error {
	g, lang, err := valid(cmd, file)
	if err != nil {
		return err
	}
	a, done, err := g.People()
	if err != nil {
		return errors.New(lang.Say("the state cannot be opened: %s", err))
	}
	who := access.Identity{Kind: access.Shell, ID: "shell", Name: loginName(), Role: access.Admin}
	err = do(cmd.Context(), lang, a, who, access.Origin{Address: "localhost", Via: "cli"})
	err = errors.Join(inWords(lang, err), done())
	return err
}

// inWords says a refusal in the language of the site.
func inWords(lang i18n.Lang, err error) error {
	var refused *access.Refused
	switch {
	case !errors.As(err, &refused):
		return err
	case errors.Is(err, access.ErrInput):
		return invalid{errors.New(lang.Say(refused.Text.Format, refused.Text.Args...))}
	}
	return errors.New(lang.Say(refused.Text.Format, refused.Text.Args...))
}

func loginName() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "shell"
}

func addUser(file *string) *cobra.Command {
	var n access.Account
	var role, passwordFile string
	c := &cobra.Command{
		Use:   "add -c FILE NAME [--role viewer|duty|maintainer|admin]",
		Short: "Adds somebody; asks for the password, or reads it from standard input or --password-file",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inside(cmd, *file, func(ctx context.Context, lang i18n.Lang, a *access.Access, who access.Identity, from access.Origin) error {
				n.ID, n.Role = args[0], access.Role(role)
				password, err := newPassword(cmd, lang, passwordFile)
				if err != nil {
					return err
				}
				if err := a.AddUser(ctx, time.Now(), n, password, who, from); err != nil {
					return err
				}
				say(cmd.OutOrStdout(), lang, "%s may log in now, with the role %s", n.ID, role)
				return nil
			})
		},
	}
	f := c.Flags()
	f.StringVar(&role, "role", string(access.Viewer), "viewer looks, duty answers alarms, maintainer sets up and tests, admin adds people")
	f.StringVar(&n.Name, "name", "", "with which acts are signed (default: NAME)")
	f.StringVar(&n.Person, "person", "", "id of the person in the duty roster")
	f.BoolVar(&n.Shared, "shared", false, "a screen that several use: each act says by whom")
	f.StringVar(&passwordFile, "password-file", "", "a file with the password on its first line; - is standard input")
	return c
}

func listUsers(file *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list -c FILE",
		Short: "Lists the people",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return inside(cmd, *file, func(ctx context.Context, _ i18n.Lang, a *access.Access, _ access.Identity, _ access.Origin) error {
				all, err := a.Users(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), console.Accounts(all))
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, u := range all {
					shared := ""
					if u.Shared {
						shared = "shared"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", u.ID, u.Role, u.Name, u.Person, shared)
				}
				return w.Flush()
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
}

func removeUser(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "remove -c FILE NAME",
		Short: "Removes somebody and ends all their sessions",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inside(cmd, *file, func(ctx context.Context, lang i18n.Lang, a *access.Access, who access.Identity, from access.Origin) error {
				if err := a.RemoveUser(ctx, time.Now(), args[0], who, from); err != nil {
					return err
				}
				say(cmd.OutOrStdout(), lang, "%s may not log in any more", args[0])
				return nil
			})
		},
	}
}

func setPassword(file *string) *cobra.Command {
	var passwordFile string
	c := &cobra.Command{
		Use:   "password -c FILE NAME",
		Short: "Sets the password of somebody and ends all their sessions",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inside(cmd, *file, func(ctx context.Context, lang i18n.Lang, a *access.Access, who access.Identity, from access.Origin) error {
				password, err := newPassword(cmd, lang, passwordFile)
				if err != nil {
					return err
				}
				if err := a.SetPassword(ctx, time.Now(), args[0], password, who, from); err != nil {
					return err
				}
				say(cmd.OutOrStdout(), lang, "%s has a new password", args[0])
				return nil
			})
		},
	}
	c.Flags().StringVar(&passwordFile, "password-file", "", "a file with the password on its first line; - is standard input")
	return c
}

// newPassword is the first line of a file or of standard input; where that is a terminal, it is asked for twice, and not
// shown.
func newPassword(cmd *cobra.Command, lang i18n.Lang, file string) (string, error) {
	return typedPassword(cmd, lang, file, lang.Say("Password"), lang.Say("The password once more"))
}

// typedPassword is the same for each prompt, or the first line of a file or of what is no terminal.
func typedPassword(cmd *cobra.Command, lang i18n.Lang, file string, prompts ...string) (string, error) {
	in := cmd.InOrStdin()
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", invalid{errors.New(lang.Say("the password cannot be read: %s", err))}
		}
		defer f.Close()
		in = f
	}
	lines := bufio.NewReader(io.LimitReader(in, 4096))
	terminal, ok := in.(*os.File)
	restore, err := hide(terminal, ok && file == "")
	if err != nil { // no terminal
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", errors.New(lang.Say("the password cannot be read: %s", err))
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	defer restore()
	typed := make([]string, len(prompts))
	for i, prompt := range prompts {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: ", prompt)
		line, err := lines.ReadString('\n')
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", errors.New(lang.Say("the password cannot be read: %s", err))
		}
		typed[i] = strings.TrimRight(line, "\r\n")
	}
	if typed[0] != typed[len(typed)-1] {
		return "", invalid{errors.New(lang.Say("the two passwords are not the same"))}
	}
	return typed[0], nil
}

var errNoTerminal = errors.New("no terminal")

// onTerminal tells whether somebody can type there.
func onTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// hide turns off the echo of a terminal; the error says that it is none.
func hide(f *os.File, wanted bool) (restore func(), err error) {
	if !wanted {
		return nil, errNoTerminal
	}
	was, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, errNoTerminal
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	quiet.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &quiet); err != nil {
		return nil, errNoTerminal
	}
	return func() { _ = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, was) }, nil
}
