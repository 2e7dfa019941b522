package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/drivers/modbus"

	"github.com/spf13/cobra"
)

// wireFlags are how a wire is opened without a configuration.
type wireFlags struct {
	baud, stopBits, dataBits int
	parity                   string
	timeout                  time.Duration

	daemon client
}

func (f *wireFlags) add(c *cobra.Command, timeout time.Duration) {
	c.Flags().IntVar(&f.baud, "baud", 9600, "of a serial line")
	c.Flags().StringVar(&f.parity, "parity", "none", "of a serial line: none, even or odd")
	c.Flags().IntVar(&f.stopBits, "stop-bits", 1, "of a serial line: 1 or 2")
	c.Flags().IntVar(&f.dataBits, "data-bits", 8, "of a serial line: 7 or 8")
	c.Flags().DurationVar(&f.timeout, "timeout", timeout, "until an answer begins")
	f.daemon.flags(c)
}

// open connects to the wire, through the daemon where that has it; what is wrong with the arguments is wrong usage.
func (f *wireFlags) open(cmd *cobra.Command, lang i18n.Lang, url string) (wire, error) {
	text := fmt.Sprintf("{url: %s, timeout: %s, retries: 0", strconv.Quote(url), f.timeout)
	if strings.HasPrefix(url, "rtu://") {
		text += fmt.Sprintf(", baud: %d, parity: %q, stop_bits: %d, data_bits: %d", f.baud, f.parity, f.stopBits, f.dataBits)
	}
	section := conf.Parse(url, []byte(text+"}"), conf.OS())
	f.daemon.lang = lang
	h, err := heldBy(cmd.Context(), &f.daemon, url)
	if err != nil {
		return nil, err
	}
	if h != nil {
		fmt.Fprintln(cmd.ErrOrStderr(), lang.Say("the running daemon has this wire (endpoint %s); asking through it", h.endpoint))
		return h, nil
	}
	b, err := modbus.Open(cmd.Context(), section)
	if problems := section.Problems(); len(problems) > 0 {
		p := problems[0]
		return nil, invalid{errors.New(p.Key + ": " + lang.Say(p.What.Format, p.What.Args...))}
	}
	if err != nil {
		return nil, errors.New(wireError(lang, err))
	}
	return b, nil
}

func scanVerb() *cobra.Command {
	var flags wireFlags
	var units string
	var asJSON bool
	c := &cobra.Command{
		Use:   "scan URL [--units 1-247]",
		Short: "Looks which Modbus units answer on a wire, and shows what they say of themselves",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			list, err := unitList(units)
			if err != nil {
				return invalid{errors.New(lang.Say("--units %s: write it as 1-247 or 1,5,10-20, from 0 to 255", units))}
			}
			b, err := flags.open(cmd, lang, args[0])
			if err != nil {
				return err
			}
			defer b.Close()
			return scan(cmd, b, lang, list, asJSON)
		},
	}
	c.Flags().StringVar(&units, "units", "1-247", "the units to ask")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	flags.add(c, 300*time.Millisecond)
	return c
}

// found is a unit that answers.
type found struct {
	Unit     uint8  `json:"unit"`
	Identity string `json:"identity"` // what it says of itself, "" where it knows no such question
	Answered string `json:"answered"` // what it said when asked for register 0
}

// scan asks one unit after the other; those found are shown at once. It fails where there is none.
func scan(cmd *cobra.Command, b wire, lang i18n.Lang, units []uint8, asJSON bool) error {
	all := []found{}
	for _, unit := range units {
		there, said, err := b.Look(cmd.Context(), unit)
		var of *refused
		if errors.As(err, &of) {
			return err // in the daemon's words
		}
		if err != nil {
			return errors.New(wireError(lang, err))
		}
		if !there {
			continue
		}
		f := found{unit, b.Identity(cmd.Context(), unit), said}
		all = append(all, f)
		if asJSON {
			continue
		}
		identity := f.Identity
		if identity == "" {
			identity = lang.Say("does not say what it is")
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%3d  %s  (%s)\n", f.Unit, identity, f.Answered)
	}
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		if err := enc.Encode(all); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return errors.New(lang.Say("no unit answered: check wiring (A and B), baud and parity, and that nobody else asks on this wire"))
	}
	return nil
}

// unitList reads 1-247 or 1,5,10-20.
func unitList(text string) (units []uint8, err error) {
	for _, part := range strings.Split(text, ",") {
		low, high, ranged := strings.Cut(part, "-")
		if !ranged {
			high = low
		}
		first, err1 := strconv.ParseUint(strings.TrimSpace(low), 10, 8)
		last, err2 := strconv.ParseUint(strings.TrimSpace(high), 10, 8)
		if err := errors.Join(err1, err2); err != nil || first > last {
			return nil, fmt.Errorf("units %q: %w", text, err)
		}
		for u := first; u <= last; u++ {
			units = append(units, uint8(u))
		}
	}
	return units, nil
}

func probeVerb() *cobra.Command {
	var flags wireFlags
	var unit, count int
	var at string
	c := &cobra.Command{
		Use:   "probe URL --unit N --at holding:0 [--count 2]",
		Short: "Reads registers and shows them under every type and byte order, to find the right one",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := language(cmd, i18n.Chinese)
			if err != nil {
				return err
			}
			address, why, ok := modbus.ParseAddress(at)
			switch {
			case !ok:
				return invalid{errors.New("--at: " + lang.Say(why.Format, why.Args...))}
			case address.Field:
				return invalid{errors.New("--at: " + lang.Say("give a whole register, such as holding:11"))}
			case unit < 0 || unit > 255:
				return invalid{errors.New("--unit: " + lang.Say("must be between %d and %d", 0, 255))}
			case count < 1 || count > 125 || int(address.Number)+count > 65536:
				return invalid{errors.New("--count: " + lang.Say("must be between %d and %d", 1, min(125, 65536-int(address.Number))))}
			}
			b, err := flags.open(cmd, lang, args[0])
			if err != nil {
				return err
			}
			defer b.Close()
			raw, err := b.Read(cmd.Context(), uint8(unit), address.Table, address.Number, count)
			if err != nil {
				if !unitAnswered(err) {
					return errors.New(lang.Say("unit %d does not answer: %s", unit, err))
				}
				return errors.New(lang.Say("unit %d answers, but not with these registers: %s", unit, err))
			}
			return probe(cmd, address, count, raw)
		},
	}
	c.Flags().IntVar(&unit, "unit", 1, "the unit to ask")
	c.Flags().StringVar(&at, "at", "", "where to read: coil, discrete, input or holding, and the zero-based address")
	c.Flags().IntVar(&count, "count", 2, "how many registers or bits")
	flags.add(c, time.Second)
	return c
}

// probe shows what was read: the raw registers, then a line a type and order with the value that begins at each register.
func probe(cmd *cobra.Command, at modbus.Address, count int, raw []byte) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\t")
	for i := range count {
		fmt.Fprintf(w, "\t%s:%d", at.Table, int(at.Number)+i)
	}
	fmt.Fprintln(w)
	if at.Table.Bits() {
		fmt.Fprint(w, "bool\t")
		for i := range count {
			fmt.Fprintf(w, "\t%d", raw[i/8]>>(i%8)&1)
		}
		fmt.Fprintln(w)
		return w.Flush()
	}
	fmt.Fprint(w, "hex\t")
	for register := range slices.Chunk(raw, 2) {
		fmt.Fprintf(w, "\t%x", register)
	}
	fmt.Fprintln(w)
	for _, typ := range modbus.Types() {
		if typ == "bool" || typ == "bits" { // as uint16
			continue
		}
		for _, order := range modbus.Orders(typ)[:min(4, len(modbus.Orders(typ)))] { // the longer names of the 64-bit forms only
			probeLine(w, at, count, raw, typ, order)
		}
		if modbus.Orders(typ) == nil {
			probeLine(w, at, count, raw, typ, "")
		}
	}
	return w.Flush()
}

// probeLine is the values of one type and order; a dash is where the registers mean nothing in it, and none are left out.
func probeLine(w *tabwriter.Writer, at modbus.Address, count int, raw []byte, typ, order string) {
	cells, any := make([]string, count), false
	for i := range count {
		sig := drivers.Signal{ID: "s", Kind: "number", Type: typ, Order: order, Scale: 1, At: fmt.Sprintf("%s:%d", at.Table, int(at.Number)+i)}
		fits := true
		r := modbus.Decode([]drivers.Signal{sig}, func(_ modbus.Table, _ uint16, n int) ([]byte, bool) {
			fits = i+n <= count
			if !fits {
				return nil, false
			}
			return raw[2*i : 2*(i+n)], true
		}, time.Time{})[0]
		any = any || r.Quality == drivers.Good
		switch {
		case !fits:
		case r.Quality == drivers.Good && math.Abs(r.Value) < 1e15 && r.Value == math.Trunc(r.Value):
			cells[i] = strconv.FormatFloat(r.Value, 'f', -1, 64)
		case r.Quality == drivers.Good:
			cells[i] = strconv.FormatFloat(r.Value, 'g', 7, 64)
		default:
			cells[i] = "-"
		}
	}
	if any {
		fmt.Fprintf(w, "%s\t%s\t%s\n", typ, order, strings.Join(cells, "\t"))
	}
}
