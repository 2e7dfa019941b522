package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
)

const aTable = `site: {id: h, name: H}
data: /tmp/h
endpoints:
  # the bus in the plant room
  - id: bus
    modbus: {url: "tcp://h"}
    devices:
      - {id: may-1, name: "0047", unit: 1, profile: renke-ws-n01, max_gap: 3}
      - id: panel
        unit: 2
        signals:
          - {id: p, kind: number, at: "holding:0", scale: 0.001, unit: kPa, na: [0xFFFF, 32765], range: [0, 1.6]} # after the pump
          - {id: s, kind: status_word, at: "holding:1", name: {zh: 状态, en: State}}
  - id: hub
    mqtt: {url: "mqtt://h"}
    devices:
      - {id: gas, topic: zigbee2mqtt/gas, signals: [{id: g, kind: gas_alarm, json: gas, enum: {none: 0, mild: 1}}]}
`

// excel is the table as Excel saves it after it was opened and saved: cells that are formulas become what they show.
func excel(t *testing.T, table string, change func(cells []string)) string {
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(table, "\uFEFF"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	w := csv.NewWriter(&out)
	w.Comma, w.UseCRLF = ';', true
	for _, cells := range rows {
		for i, cell := range cells {
			if inner, ok := strings.CutPrefix(cell, `="`); ok {
				cells[i] = strings.TrimSuffix(inner, `"`)
			} else if n := strings.TrimLeft(cell, "0"); n != "" && strings.Trim(cell, "0123456789") == "" {
				cells[i] = n // a number has no leading zeros
			} else if strings.HasPrefix(strings.ToLower(cell), "may-") {
				cells[i] = "1-May"
			} else if cell == "true" {
				cells[i] = "TRUE"
			}
		}
		change(cells)
		if err := w.Write(cells); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	out.WriteString(strings.Repeat(";", 25) + "\r\n")
	return out.String()
}

// Row DM10: the table comes back from Excel as it went, with what a person changed, and the file keeps its comments.
func TestSignalsGoToExcelAndBack(t *testing.T) {
	file := configFile(t, aTable)
	dir := filepath.Dir(file)
	status, table, errs := verb(t, "signals", "export", "-c", file)
	if status != exitDone || !strings.HasPrefix(table, "\uFEFFendpoint,device,") || !strings.Contains(table, `"=""0047"""`) {
		t.Fatal(status, errs, table)
	}
	// As it is, nothing changes but the form of the file.
	back := filepath.Join(dir, "back.csv")
	write := func(data string) {
		if err := os.WriteFile(back, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(table)
	same := filepath.Join(dir, "same.yaml")
	if status, _, errs := verb(t, "signals", "import", "-c", file, back, "-o", same); status != exitDone {
		t.Fatal(errs)
	}
	if status, again, errs := verb(t, "signals", "export", "-c", same); status != exitDone || again != table {
		t.Errorf("%s\ngot\n%s\nwant\n%s", errs, again, table)
	}
	text, err := os.ReadFile(same)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# the bus in the plant room", "# after the pump", "max_gap: 3", `"0047"`, "zh: 状态"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is lost:\n%s", want, text)
		}
	}
	// Out of a German or Chinese Excel, with a change and a new signal, in GBK.
	changed := excel(t, table, func(cells []string) {
		if cells[10] == "p" {
			cells[11], cells[20], cells[25] = "出口压力", "MPa", "TRUE"
		}
	}) + "bus;panel;;;;;;;;;level;水位;number;holding:9;;;;;0.01;;m;;;;;\r\nbus;tank;水箱;;;3;;;;;l;;number;holding:4;;;;;;;;;;;;\r\n"
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(changed)
	if err != nil {
		t.Fatal(err)
	}
	write(gbk)
	if status, _, errs := verb(t, "signals", "import", "-c", same, back, "-o", same); status != exitDone {
		t.Fatal(errs)
	}
	_, table, _ = verb(t, "signals", "export", "-c", same)
	for _, want := range []string{
		"bus,panel,,,,2,,,,,p,出口压力,number,holding:0,,,,,0.001,,MPa,\"=\"\"0xFFFF 32765\"\"\",,\"=\"\"0 1.6\"\"\",,true",
		"bus,panel,,,,2,,,,,level,水位,number,holding:9,,,,,0.01,,m,,,,,",
		"bus,tank,水箱,,,3,,,,,l,,number,holding:4,,,,,,,,,,,,",
		`bus,"=""may-1""","=""0047""",,renke-ws-n01,1,`,
	} {
		if !strings.Contains(table, want) {
			t.Errorf("%s is not in\n%s", want, table)
		}
	}
}

func TestATableWithMistakesChangesNothing(t *testing.T) {
	file := configFile(t, aTable)
	before, _ := os.ReadFile(file)
	for _, c := range []struct{ name, table, says string }{
		{"no columns", "a,b\n1,2\n", `column "a"`},
		{"no endpoint", "endpoint,device\n,x\n", "line 2: endpoint and device must be named"},
		{"an endpoint that there is not", "endpoint,device\nnowhere,x\n", `line 2: there is no endpoint "nowhere"`},
		{"a key of a signal without one", "endpoint,device,kind\nbus,panel,smoke\n", "line 2: kind belongs to a signal"},
		{"an enum that is none", "endpoint,device,signal,enum\nbus,panel,p,mild\n", `line 2: enum: "mild" cannot be read`},
		{"what the configuration does not allow", "endpoint,device,signal,kind\nbus,panel,p,smok\n", `"smok" is not known`},
		{"two values of a device", "endpoint,device,signal,device_name\nbus,panel,p,New\nbus,panel,s,Old\n", `line 3: device_name is "Old", and "New" on line 2`},
		{"too much", "endpoint,device,signal\n" + strings.Repeat("bus,panel,p\n", mostRows+1), "more than 20000 lines"},
		{"nothing", "", "the table is no CSV"},
	} {
		table := filepath.Join(t.TempDir(), "t.csv")
		if err := os.WriteFile(table, []byte(c.table), 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, errs := verb(t, "signals", "import", "-c", file, table, "-o", file)
		if after, _ := os.ReadFile(file); status != exitInvalid || !strings.Contains(errs, c.says) || string(after) != string(before) {
			t.Errorf("%s: status %d, %q", c.name, status, errs)
		}
	}
}

// What two devices share by an anchor is neither changed for both nor lost.
func TestATableDoesNotChangeWhatDevicesShare(t *testing.T) {
	const text = "endpoints:\n  - id: bus\n    devices:\n      - {id: a, signals: &s [{id: x}]}\n      - {id: b, signals: *s}\n"
	rows, mistakes := readTable([]byte("endpoint,device,signal,kind\nbus,b,x,number\n"))
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	if out, mistakes := mergeTable([]byte(text), rows); len(mistakes) != 1 || !strings.Contains(mistakes[0].String(), "line 5 of the configuration") {
		t.Errorf("%s\n%v", out, mistakes)
	}
}

// FuzzTable: no table makes the program fall over.
func FuzzTable(f *testing.F) {
	f.Add([]byte("\xEF\xBB\xBFendpoint,device,signal,name\r\nbus,panel,p,=\"0047\"\r\n"))
	f.Add([]byte("endpoint;device;signal;enum\nbus;panel;p;a=1\n"))
	f.Add([]byte("\xFF\xFEe\x00n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if rows, mistakes := readTable(data); len(mistakes) == 0 {
			mergeTable([]byte(aTable), rows)
		}
	})
}
