package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"embergate/gateway"

	"go.yaml.in/yaml/v4"
)

// judge is a validator of another make, inside the one that .ci/run puts into the cache for the API: Ajv, which editors use.
const judge = `
const Ajv = require("ajv").default ?? require("ajv")
const { schema, files } = JSON.parse(require("fs").readFileSync(0, "utf8"))
const valid = new Ajv({ strict: false, allErrors: true }).compile(schema)
console.log(JSON.stringify(files.map(f => valid(f) ? [] : valid.errors.map(e => e.instancePath + " " + e.message + " " + JSON.stringify(e.params)))))`

// judged are the mistakes that the validator finds in each of some YAML files.
func judged(t *testing.T, texts []string) [][]string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(cache, "embergate", "openapi-schema-validator-2.11.0", "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "ajv")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs Ajv (npm), put into the cache by .ci/run")
		}
		t.Skip("needs Ajv (npm), put into the cache by .ci/run")
	}
	status, schema, errs := verb(t, "config", "schema")
	if status != exitDone {
		t.Fatal(errs)
	}
	files := make([]any, len(texts))
	for i, text := range texts {
		var n yaml.Node
		if err := yaml.Load([]byte(text), &n); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		files[i] = asJSON(t, n.Content[0])
	}
	input, err := json.Marshal(map[string]any{"schema": json.RawMessage(schema), "files": files})
	if err != nil {
		t.Fatal(err)
	}
	node := exec.Command("node", "-e", judge)
	node.Env = append(os.Environ(), "NODE_PATH="+modules)
	node.Stdin = strings.NewReader(string(input))
	out, err := node.CombinedOutput()
	var said [][]string
	if err != nil || json.Unmarshal(out, &said) != nil || len(said) != len(texts) {
		t.Fatalf("%v: %s", err, out)
	}
	return said
}

// asJSON is YAML as an editor sees it: what JSON has no type for is text.
func asJSON(t *testing.T, n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return asJSON(t, n.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, asJSON(t, c))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = asJSON(t, n.Content[i+1])
		}
		return m
	}
	var v any
	if slices.Contains([]string{"!!int", "!!float", "!!bool", "!!null"}, n.ShortTag()) {
		if err := n.Decode(&v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	return n.Value
}

// Row OP08: the schema for editors takes every configuration that the checker takes, and refuses keys, types and words that it
// refuses; a validator of another make says so.
func TestTheSchemaIsThatOfTheChecker(t *testing.T) {
	_, unread, err := gateway.Schema(gateway.Options{Protocols: protocols, Log: slog.New(slog.DiscardHandler)})
	if err != nil || len(unread) != 0 {
		t.Errorf("the specimen lacks %v, %v", unread, err)
	}
	var good []string
	for _, file := range []string{"testdata/nursing-home.yaml", "../../deploy/embergate.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, string(text))
	}
	good = append(good, fmt.Sprintf(operated, "H", 1, 1, ""), manyKeys)
	bad, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(bad) == 0 {
		t.Fatal(err)
	}
	texts := slices.Clone(good)
	for _, file := range bad {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	for _, change := range mistakes {
		if !strings.Contains(manyKeys, change[0]) {
			t.Fatalf("there is no %q", change[0])
		}
		texts = append(texts, strings.Replace(manyKeys, change[0], change[1], 1))
	}
	for i, said := range judged(t, texts) {
		switch {
		case i < len(good) && len(said) > 0:
			t.Errorf("refused: %s\n%s", texts[i], strings.Join(said, "\n"))
		case i >= len(good) && len(said) == 0:
			t.Errorf("taken: %s", texts[i])
		}
	}
	for i, text := range texts[len(good)+len(bad):] {
		if i%6 != 0 {
			continue // a sample: the checker takes its time, and testdata/bad is held against it elsewhere
		}
		if status, _, _ := verb(t, "check", "-c", configFile(t, text)); status != exitInvalid {
			t.Errorf("the checker takes %q", mistakes[i])
		}
	}
	for _, text := range good[2:] {
		if status, _, errs := verb(t, "check", "-c", configFile(t, strings.ReplaceAll(text, "DIR", t.TempDir()))); status != exitDone {
			t.Errorf("the checker refuses %s: %s", text, errs)
		}
	}
}

const manyKeys = `
# yaml-language-server: $schema=embergate.schema.json
site: {id: home, language: en, region: 370305, position: {lat: 36.8, lon: 118}}
zones: [{id: z, camera: {snapshot: "http://u:p@127.0.0.1/s", live: "http://127.0.0.1/l"}}]
endpoints:
  - id: bus
    modbus: {url: "rtu:///dev/ttyX", baud: 9600, parity: even, stop_bits: 1, data_bits: 8, timeout: 300ms}
    devices:
      - {id: meter, zone: z, unit: 7, every: 1s, signals: [{id: s, kind: number, at: "holding:3", type: uint16, order: BA, deadband: 5%, range: [0, 0xFF]}]}
      - {id: valve, unit: 8, signals: [{id: v, kind: relay, at: "coil:0", writable: true}, {id: w, kind: number, at: "holding:0", scale_by: [r], name: {zh: 水, en: Water}}, {id: r, kind: number, at: "holding:1"}]}
  - id: broker
    mqtt: {url: "mqtts://h", username: u, password: p, tls: {insecure: true}}
    devices: [{id: d, topic: t/d, format: json, availability: t/a, signals: [{id: s, kind: smoke, json: a, enum: {on: 1, off: 0}}]}]
derived: [{id: sum, signals: [{id: s, kind: number, sum: [meter.s, valve.w]}]}]
rules:
  packs: [fire, gas]
  override: [{rule: smoke, for: 3s, where: 'device == "d"'}]
  inline: [{id: mine, class: gas, level: alarm, signal: meter.s, when: "value > 3.0", outputs: [{write: valve.v, stop: silence, max_on: 1m}]}]
  calendar: {off: [2026-10-01..2026-10-07]}
duty:
  people: [{id: li, name: 李四, phone: +8613800000002, role: boss}]
  shifts: [{name: n, from: "20:00", to: "08:00", people: [li], days: [tue-thu, holiday]}]
  swaps: [{date: 2026-11-25, shift: n, people: [li]}]
  escalation: {alarm: [{after: 0s, to: on-duty, via: [hook]}]}
  repeat: {alarm: 2m, fault: 1h}
  remind: 15m
  quiet: {levels: [notice], from: "22:00", to: "06:00"}
  sounder: [{write: valve.v, value: 1, max_on: 10m}]
channels: [{id: hook, webhook: {url: "http://127.0.0.1/h", secret: s}}, {id: bark, bark: {key: k, level: critical}}]
uplinks: [{id: p, influxdb: {url: "http://127.0.0.1:1", org: o, bucket: b, token: t}, queue: {bytes: 2000000, age: 24h}}]
console: {listen: "127.0.0.1:0"}
heartbeat: [{url: "http://127.0.0.1:1/beat", every: 60s}]
`

// mistakes are changes of manyKeys that both refuse.
var mistakes = [][2]string{
	{"site: {", "site: {beds: many, "}, {"language: en", "language: fr"}, {"id: z,", "id: z, floor: 3,"}, {"baud: 9600", "baud: 9601"},
	{"parity: even", "parity: maybe"}, {"unit: 7,", "unit: seven,"}, {"unit: 7,", "topic: x, unit: 7,"}, {"kind: smoke", "kind: smok"},
	{"every: 1s", "every: fast"}, {"deadband: 5%", "deadband: wide"}, {"format: json", "format: xml"}, {"mqtt: {url", "modbus: {url: x}\n    mqtt: {url"},
	{"packs: [fire", "packs: [flood"}, {"class: gas, level: alarm", "class: gas, level: loud"}, {"stop: silence", "stop: whenever"}, {"sum: [meter", "product: [meter"},
	{"{alarm: [{after", "{panic: [{after"}, {"remind: 15m", "remind: later"}, {"levels: [notice]", "levels: [whisper]"}, {"{alarm: 2m", "{panic: 2m"},
	{"secret: s", "secret: s, secret_file: f"}, {"bark: {key: k", "smoke: {key: k"}, {"level: critical", "level: loud"}, {"bytes: 2000000", "bytes: all"},
	{"insecure: true", "insecure: yes please"}, {"heartbeat: [", "hartbeat: ["}, {"days: [tue-thu, holiday]", "days: daily"}, {"range: [0, 0xFF]", "range: 5"},
}

// Rows OP07 and OP08: the configuration in force is printed with what it leaves out and what its models say, and no secret.
func TestTheConfigurationInForceIsPrinted(t *testing.T) {
	text, err := os.ReadFile("testdata/nursing-home.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := configFile(t, strings.Replace(string(text), "http://127.0.0.1:18086/beat", "http://gw:canary-beat@127.0.0.1:18086/beat", 1))
	if err := os.Mkdir(filepath.Join(filepath.Dir(file), "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mqtt", "wecom", "aliyun", "hook", "influx"} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), "secrets", name), []byte(canary(name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, errs := verb(t, "config", "show", "-c", file)
	if status != exitDone {
		t.Fatal(errs)
	}
	for _, line := range []string{
		"  language: zh\n", "      data_bits: 8 # default\n", "      password: '***' # from a file\n", "      url: '***'\n", "        profile: chint-dtsu666\n",
		"- {id: voltage_l1, name: {zh: A相电压, en: Voltage L1}, kind: voltage, at: 'holding:0x2006', type: float32, scale: 0.1, unit: V}\n",
		"  remind: {alarm: 15m}\n", "daily_test: 09:00 # default\n", "        stale: 24h # default\n", "          max_on: 10m\n", "      repeat: 5m\n"[4:], "flags: {'0': fault",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("%q is not in:\n%s", line, out)
		}
	}
	if strings.Contains(out, "canary") {
		t.Errorf("a secret is in:\n%s", out)
	}
	var again any
	if err := yaml.Load([]byte(out), &again); err != nil {
		t.Errorf("%v in:\n%s", err, out)
	}
	if status, _, errs := verb(t, "config", "show", "-c", configFile(t, "site: {id: h, language: en}\nnonsense: 1\n")); status != exitInvalid || !strings.Contains(errs, "nonsense") {
		t.Errorf("%d %s", status, errs)
	}
}
