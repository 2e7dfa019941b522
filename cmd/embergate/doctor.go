package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/gateway"
	"embergate/gateway/configfile"

	"github.com/spf13/cobra"
)

// usualConfig is the configuration of an installed daemon.
const usualConfig = "/etc/embergate/embergate.yaml"

func doctorVerb() *cobra.Command {
	var out string
	d := &doctor{}
	c := &cobra.Command{
		Use:   "doctor [-c FILE] [-o BUNDLE.tar.gz]",
		Short: "Says what is wrong and what to do, and gathers what is needed to help in one file, without secrets; also without a daemon",
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if d.lang, err = language(cmd, i18n.Chinese); err != nil {
				return err
			}
			d.chosen = cmd.Flags().Changed("language")
			now := time.Now()
			if out == "" {
				out = "embergate-doctor-" + now.Format("20060102-150405") + ".tar.gz"
			}
			if err := d.examine(cmd.Context(), now); err != nil {
				return err
			}
			if err := d.write(out, now); err != nil {
				return errors.New(d.lang.Say("the bundle cannot be written: %s", err))
			}
			return d.tell(cmd, out)
		},
	}
	f := c.Flags()
	f.StringVarP(&d.file, "config", "c", usualConfig, "the configuration")
	f.StringVarP(&out, "output", "o", "", "the bundle to write (default: embergate-doctor-TIME.tar.gz here)")
	d.flagsBesideConfig(c)
	return c
}

// doctor gathers what is known of a daemon and its machine.
type doctor struct {
	client
	file     string
	parts    []part
	private  []string    // what must not be in any of them
	findings []i18n.Text // what is wrong, each with what to do
	answers  bool        // the daemon does
}

// part is a file of the bundle.
type part struct {
	name string
	text []byte
}

func (d *doctor) add(name string, text []byte, err error) {
	if err != nil {
		text = append(text, []byte("\nnot to be had: "+err.Error()+"\n")...)
	}
	d.parts = append(d.parts, part{name, text})
}

func (d *doctor) find(format string, args ...any) {
	d.findings = append(d.findings, i18n.T(format, args...))
}

func (d *doctor) examine(ctx context.Context, now time.Time) error {
	g, err := d.examineConfig()
	if err != nil {
		return err
	}
	d.examineDaemon(ctx)
	d.examineMachine(ctx, g, now)
	if g == nil {
		return nil
	}
	if why, bad := g.CertificateTrouble(now); bad {
		d.find("the console's certificate: %s", why)
	}
	n, err := g.VerifyJournal(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // no daemon has run yet
	}
	d.add("journal-check.txt", fmt.Appendf(nil, "%d events fit\n", n), err)
	if err != nil {
		d.find("the journal is not whole, or cannot be read (%s): keep a copy of the data folder, and see embergate journal verify", err)
	}
	var events bytes.Buffer
	_, err = g.ExportJournal(ctx, &events, "jsonl", gateway.Selection{From: now.Add(-daysOfEvents).Format(time.RFC3339)})
	d.add("events.jsonl", events.Bytes()[max(0, events.Len()-mostEvents):], err)
	return nil
}

// What goes into the bundle of the journal: the latest days, and bytes of them.
const (
	daysOfEvents = 3 * 24 * time.Hour
	mostEvents   = 4 << 20
)

// earlierMasked is how many of the earlier configurations are looked through for what is private.
const earlierMasked = 3

// examineConfig reads the configuration; the gateway is nil where that has mistakes.
func (d *doctor) examineConfig() (*gateway.Gateway, error) {
	o := verbOptions()
	text, err := os.ReadFile(d.file)
	if err != nil {
		return nil, invalid{errors.New(d.lang.Say("the configuration cannot be read: %s", err))}
	}
	if d.private, err = gateway.Private(conf.Parse(d.file, text, conf.OS()), o); err != nil {
		return nil, err
	}
	versions, _ := configfile.Versions(d.file)
	for _, v := range versions[:min(len(versions), earlierMasked)] { // what the log tells of may be of an earlier one
		if was, err := os.ReadFile(v.Path); err == nil {
			more, _ := gateway.Private(conf.Parse(d.file, was, conf.OS()), o)
			d.private = append(d.private, more...)
		}
	}
	root := conf.Parse(d.file, text, conf.OS())
	effective, g, err := gateway.Effective(root, o)
	if err != nil {
		return nil, err
	}
	if !d.chosen {
		d.lang = g.Language()
	}
	if problems := root.Problems(); problems != nil {
		d.add("config-mistakes.txt", []byte(problems.Error()), nil)
		d.find("the configuration has %d mistakes, see: embergate check -c %s ; what ran before comes back with: embergate config rollback -c %[2]s", len(problems), d.file)
		return nil, nil
	}
	d.add("config.yaml", effective, nil)
	d.config = d.file
	if len(versions) > 0 {
		if ran, err := os.ReadFile(versions[0].Path); err == nil && !bytes.Equal(ran, text) {
			d.find("the configuration was changed after the daemon took it, or the daemon did not take it: systemctl reload embergate")
		}
	}
	return g, nil
}

// examineDaemon asks the running daemon for everything that tells how it is.
func (d *doctor) examineDaemon(ctx context.Context) {
	var status struct {
		Version    string
		Waiting    int `json:"alarms_unacknowledged"`
		Components []struct {
			Name    string
			Working bool
			Why     string
		}
	}
	err := d.get(ctx, "/api/v1/status", &status)
	var no *refused
	switch {
	case errors.As(err, &no) && no.ours && (no.Status == http.StatusUnauthorized || no.Status == http.StatusForbidden):
		d.find("a daemon runs at %s, but answers only an administrator: run this as root, or with --token-file", d.base)
	case err != nil:
		d.find("%s: see systemctl status embergate, and service-log.txt in the bundle", err)
	default:
		d.answers = true
	}
	if !d.answers {
		return
	}
	if status.Version != version {
		d.find("the daemon is version %s, this program %s: systemctl restart embergate", status.Version, version)
	}
	for _, c := range status.Components {
		if !c.Working {
			d.find("%s does not work: %s", c.Name, c.Why)
		}
	}
	if status.Waiting > 0 {
		d.find("%d alarms wait for somebody: embergate alarms list", status.Waiting)
	}
	for _, p := range []struct{ name, path string }{
		{"status.json", "/api/v1/status"}, {"devices.json", "/api/v1/devices"}, {"alarms.json", "/api/v1/alarms?limit=200"}, {"queues.json", "/api/v1/queues"},
		{"deliveries.json", "/api/v1/deliveries?limit=200"}, {"metrics.txt", "/metrics"}, {"log-levels.json", "/api/v1/log"}, {"goroutines.txt", "/api/v1/goroutines"},
	} {
		var text []byte
		err := d.get(ctx, p.path, &text)
		d.add(p.name, text, err)
	}
}

// run is what a program of this machine prints.
func (d *doctor) run(ctx context.Context, name string, program string, args ...string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, program, args...)
	c.WaitDelay = time.Second // for what it leaves behind
	text, err := c.CombinedOutput()
	d.add(name, text, err)
}

const bundleManual = `What embergate doctor gathered, for whoever helps. Secrets of the configuration, telephone numbers and mail addresses of its
people are replaced by ***. Names of people, rooms and devices are in it, and what happened there: give it to whom you trust.
`

// setupCode is the one with which the first administrator is made, in the log of a daemon that has none.
var setupCode = regexp.MustCompile(`\bcode=\S+`)

// clean is a text without what is private, the longest first.
func (d *doctor) clean(text string) string {
	slices.SortFunc(d.private, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, word := range d.private {
		pairs = append(pairs, word, "***")
	}
	return setupCode.ReplaceAllString(strings.NewReplacer(pairs...).Replace(text), "code=***")
}

// write packs the parts, each without what is private.
func (d *doctor) write(path string, now time.Time) error {
	d.add("README.txt", []byte(bundleManual), nil)
	var findings strings.Builder
	for _, f := range d.findings {
		findings.WriteString("- " + f.String() + "\n")
	}
	d.add("findings.txt", []byte(findings.String()), nil)
	return writeWhole(path, 0o600, func(out io.Writer) error {
		zip := gzip.NewWriter(out)
		all := tar.NewWriter(zip)
		for _, p := range d.parts {
			text := d.clean(string(p.text))
			header := &tar.Header{Name: "embergate-doctor/" + p.name, Mode: 0o600, Size: int64(len(text)), ModTime: now}
			if err := all.WriteHeader(header); err != nil {
				return err
			}
			if _, err := all.Write([]byte(text)); err != nil {
				return err
			}
		}
		return errors.Join(all.Close(), zip.Close())
	})
}

// tell prints what is wrong; it fails where anything is.
func (d *doctor) tell(cmd *cobra.Command, out string) error {
	for _, f := range d.findings {
		fmt.Fprintln(cmd.OutOrStdout(), d.clean("! "+d.lang.Say(f.Format, f.Args...)))
	}
	if len(d.findings) == 0 {
		say(cmd.OutOrStdout(), d.lang, "nothing wrong was found")
	}
	say(cmd.OutOrStdout(), d.lang, "%s holds what is needed to help, without secrets and telephone numbers", out)
	if len(d.findings) > 0 {
		return errors.New(d.lang.Say("%d findings", len(d.findings)))
	}
	return nil
}
