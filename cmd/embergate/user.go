package main

import (
	"bufio"
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

// insider changes people and tokens in the state of a configuration, in the name of whoever is logged in to the machine.
type insider struct {
	*access.Access
	cmd  *cobra.Command
	lang i18n.Lang
	who  access.Identity
	from access.Origin
}

// inside opens the state of a configuration for a verb.
func inside(cmd *cobra.Command, file string, do func(in insider) error) error {
	g, lang, err := valid(cmd, file)
	if err != nil {
		return err
	}
	a, done, err := g.People()
	if err != nil {
		return errors.New(lang.Say("the state cannot be opened: %s", err))
	}
	who := access.Identity{Kind: access.Shell, ID: "shell", Name: loginName(), Role: access.Admin}
	err = do(insider{a, cmd, lang, who, access.Origin{Address: "localhost", Via: "cli"}})
	return errors.Join(inWords(lang, err), done())
}

// insideVerb is a verb that does something to whoever or whatever has a name.
func insideVerb(file *string, use, short string, do func(in insider, name string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return inside(cmd, *file, func(in insider) error { return do(in, args[0]) })
		},
	}
}

// insideList is a verb that lists all, as JSON or in rows.
func insideList(file *string, short string, list func(in insider) (all any, rows [][]string, err error)) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list -c FILE",
		Short: short,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return inside(cmd, *file, func(in insider) error {
				all, rows, err := list(in)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), all)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, row := range rows {
					fmt.Fprintln(w, strings.Join(row, "\t"))
				}
				return w.Flush()
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return c
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
	c := insideVerb(file, "add -c FILE NAME [--role viewer|duty|maintainer|admin]",
		"Adds somebody; asks for the password, or reads it from standard input or --password-file",
		func(in insider, name string) error {
			n.ID, n.Role = name, access.Role(role)
			password, err := newPassword(in.cmd, in.lang, passwordFile)
			if err != nil {
				return err
			}
			if err := in.AddUser(in.cmd.Context(), time.Now(), n, password, in.who, in.from); err != nil {
				return err
			}
			say(in.cmd.OutOrStdout(), in.lang, "%s may log in now, with the role %s", n.ID, role)
			return nil
		})
	f := c.Flags()
	f.StringVar(&role, "role", string(access.Viewer), "viewer looks, duty answers alarms, maintainer sets up and tests, admin adds people")
	f.StringVar(&n.Name, "name", "", "with which acts are signed (default: NAME)")
	f.StringVar(&n.Person, "person", "", "id of the person in the duty roster")
	f.BoolVar(&n.Shared, "shared", false, "a screen that several use: each act says by whom")
	f.StringVar(&passwordFile, "password-file", "", "a file with the password on its first line; - is standard input")
	return c
}

func listUsers(file *string) *cobra.Command {
	return insideList(file, "Lists the people", func(in insider) (any, [][]string, error) {
		all, err := in.Users(in.cmd.Context())
		var rows [][]string
		for _, u := range all {
			shared := ""
			if u.Shared {
				shared = "shared"
			}
			rows = append(rows, []string{u.ID, string(u.Role), u.Name, u.Person, shared})
		}
		return console.Accounts(all), rows, err
	})
}

func removeUser(file *string) *cobra.Command {
	return insideVerb(file, "remove -c FILE NAME", "Removes somebody and ends all their sessions", func(in insider, name string) error {
		if err := in.RemoveUser(in.cmd.Context(), time.Now(), name, in.who, in.from); err != nil {
			return err
		}
		say(in.cmd.OutOrStdout(), in.lang, "%s may not log in any more", name)
		return nil
	})
}

func setPassword(file *string) *cobra.Command {
	var passwordFile string
	c := insideVerb(file, "password -c FILE NAME", "Sets the password of somebody and ends all their sessions", func(in insider, name string) error {
		password, err := newPassword(in.cmd, in.lang, passwordFile)
		if err != nil {
			return err
		}
		if err := in.SetPassword(in.cmd.Context(), time.Now(), name, password, in.who, in.from); err != nil {
			return err
		}
		say(in.cmd.OutOrStdout(), in.lang, "%s has a new password", name)
		return nil
	})
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
