package proof_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/mqtt"
	"embergate/drivers/profiles"
	"embergate/drivers/profiles/proof"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const head = "id: own\nname: {zh: 自有, en: Own}\nvendor: us\nsource: here\ngrade: C\n"

func TestAModelThatItsDriverWouldNotTakeIsReported(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"an address that is none": {"protocol: modbus\nsignals: [{id: a, name: {zh: 甲, en: A}, kind: number, at: nowhere, type: uint16}]\nvectors: [{name: v, holding: {0: [1]}, readings: {a: 1}}]\n", "signals: "},
		"a format that is none":   {"protocol: mqtt\nmqtt: {format: morse}\nsignals: [{id: a, name: {zh: 甲, en: A}, kind: number, json: a}]\nvectors: [{name: v, messages: [{payload: '{}'}], readings: {a: 1}}]\n", `mqtt.format: "morse" is not known`},
		"a signal without a key":  {"protocol: mqtt\nsignals: [{id: a, name: {zh: 甲, en: A}, kind: number}]\nvectors: [{name: v, messages: [{payload: '{}'}], readings: {a: 1}}]\n", `signals: signal "a" needs json`},
		"nothing wrong":           {"protocol: mqtt\nsignals: [{id: a, name: {zh: 甲, en: A}, kind: number, json: a}]\nvectors: [{name: v, messages: [{payload: '{}'}], readings: {a: 1}}]\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := conf.Parse("own.yaml", []byte(head+c.text), conf.OS())
			proof.Check(root, profiles.Parse(root))
			if got := root.Problems().Error(); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestVectorsThatDoNotHoldSayWhatDiffers(t *testing.T) {
	root := conf.Parse("own.yaml", []byte(head+`protocol: mqtt
mqtt: {format: bytes, bytes: {checksum: sum, fields: [{key: a, at: 0, type: uint8}]}}
signals: [{id: a, name: {zh: 甲, en: A}, kind: number, json: object.a}]
vectors:
  - {name: holds, messages: [{hex: "01 FF"}], readings: {a: 1}}
  - {name: another value, messages: [{hex: 01FF}], readings: {a: 2}}
  - {name: refused, messages: [{hex: 01FE}], readings: {a: 1}}
  - {name: refused as it should be, messages: [{hex: 01FE, malformed: true}]}
  - {name: not refused, messages: [{hex: 01FF, malformed: true}], readings: {a: 1}}
`), conf.OS())
	m := profiles.Parse(root)
	if p := root.Problems(); p != nil {
		t.Fatal(p)
	}
	got := fmt.Sprint(proof.Vectors(m, noon))
	want := `[{another value [a: 1, want 2]} {refused [the message at "" is refused: checksum: the sum of all bytes is not 0 modulo 256 a: no reading, want 1]} ` +
		`{not refused [the message at "" is taken, and should be refused]}]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Row MQ18: the recorded bytes of LoRaWAN devices, if they are there, through the models and a network server's message.
func TestRecordedLoRaWANBytes(t *testing.T) {
	data, err := os.ReadFile("../../../../shared/realinput/mqtt/milesight_raw.json")
	if err != nil {
		t.Skip("no recordings here")
	}
	var all []struct {
		Device, Hex string
		Expect      map[string]any
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	models, err := profiles.Load()
	if err != nil {
		t.Fatal(err)
	}
	// What the recordings call a value, as signal=value here; %v is a number.
	says := map[string]string{
		"event alarm": "smoke=1", "event removed": "tamper=1", "event low battery": "battery_low=1", "event testing alarm with normal battery": "test=1",
		"gas_status alarm": "gas=1", "valve_status off": "valve_output=0", "relay_output_status on": "relay_output=1", "leakage_status leak": "leak=1",
		"alarm sensor fault": "sensor_fault=1", "life_remain 7.776e+06": "life=2160",
		"battery": "battery=%v", "concentration": "concentration=%v", "temperature": "temperature=%v", "humidity": "humidity=%v",
		"nh3": "ammonia=%v", "h2s": "hydrogen_sulphide=%v",
	}
	for _, one := range all {
		model := models["milesight-"+strings.ToLower(one.Device)]
		raw, _ := hex.DecodeString(one.Hex)
		payload := fmt.Sprintf(`{"fPort":85,"data":%q}`, base64.StdEncoding.EncodeToString(raw))
		readings, err := mqtt.NewDecoder(model.Settings, model, "").Decode("event/up", []byte(payload), noon)
		if _, wrong := one.Expect["error"]; wrong != (err != nil) {
			t.Errorf("%s %s: %v", one.Device, one.Hex, err)
		}
		for key, value := range one.Expect {
			want := says[fmt.Sprint(key, " ", value)]
			if n, ok := value.(float64); ok && want == "" && says[key] != "" {
				want = fmt.Sprintf(says[key], n)
			}
			if want == "" && (key == "error" || key == "version" || key == "protocol" || key == "type") {
				continue
			}
			if !told(readings, want) {
				t.Errorf("%s %s: %s %v, want %q of %v", one.Device, one.Hex, key, value, want, readings)
			}
		}
	}
}

func told(readings []drivers.Reading, want string) bool {
	for _, r := range readings {
		if r.Quality == drivers.Good && fmt.Sprintf("%s=%v", r.Signal, math.Round(r.Value*1e6)/1e6) == want {
			return true
		}
	}
	return false
}
