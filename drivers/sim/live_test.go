package sim

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"embergate/drivers"
	"embergate/drivers/conf"
	"embergate/drivers/i18n"
	"embergate/drivers/profiles"

	"go.uber.org/goleak"
)

func value(t *testing.T, h *Home, signal string) float64 {
	t.Helper()
	v, ok := h.Value(signal)
	if !ok {
		t.Fatalf("no signal %s", signal)
	}
	return v
}

func TestGasStaysWhileTheValveIsOpenAndDispersesWhenItIsClosed(t *testing.T) {
	h := start(t, Options{})
	h.Set("kitchen-gas.lel", 38)
	for range 60 {
		h.step()
	}
	if got := value(t, h, "kitchen-gas.lel"); got < 36 {
		t.Errorf("after a minute with the valve open the gas is at %v %%LEL", got)
	}
	if got := value(t, h, "kitchen-gas.status"); got != lowAlarm|highAlarm {
		t.Errorf("the detector's status is %v, want both alarms", got)
	}
	exchange(t, dial(t, h.Buses()[0]), "0001 0000 0006 07 05 0000 FF00", "0001 0000 0006 07 05 0000 FF00")
	for range 60 {
		h.step()
	}
	if got := value(t, h, "kitchen-gas.lel"); got > 2 {
		t.Errorf("a minute after the valve closed the gas is at %v %%LEL", got)
	}
	if got := value(t, h, "kitchen-gas.status"); got != 0 {
		t.Errorf("the detector's status is %v, want none", got)
	}
}

func TestValuesDriftAboutTheirRest(t *testing.T) {
	h := start(t, Options{})
	before := value(t, h, "main-meter.energy")
	moved := false
	for range 3600 {
		last := value(t, h, "main-meter.voltage_l1")
		h.step()
		now := value(t, h, "main-meter.voltage_l1")
		moved = moved || now != last
		if now < 220 || now > 228 {
			t.Fatalf("the voltage drifted to %v V", now)
		}
	}
	if !moved {
		t.Error("the voltage never moved")
	}
	power := value(t, h, "main-meter.power")
	if power < 10 || power > 13 {
		t.Errorf("the power is %v kW", power)
	}
	if used := value(t, h, "main-meter.energy") - before; used < 10 || used > 13 {
		t.Errorf("in an hour the meter counted %v kWh at %v kW", used, power)
	}
}

func TestTheConfigurationIsWholeInBothLanguages(t *testing.T) {
	h := start(t, Options{Meters: 12})
	for _, lang := range i18n.Langs {
		text := h.Config(lang, "/tmp/data", "127.0.0.1:8080")
		root := conf.Parse("home.yaml", text, conf.OS())
		if problems := root.Problems(); problems != nil {
			t.Fatalf("%s: %v\n%s", lang, problems, text)
		}
		devices, signals := 0, 0
		for _, e := range root.At("endpoints").Items() {
			protocol := "modbus"
			if e.At("mqtt").Exists() {
				protocol = "mqtt"
			}
			all, err := profiles.Load()
			if err != nil {
				t.Fatal(err)
			}
			endpoint := drivers.Endpoint{ID: e.At("id").Value(), Profiles: all}
			for _, s := range e.At("devices").Items() {
				var own struct {
					Unit  int    `yaml:"unit"`
					Topic string `yaml:"topic"`
				}
				d, _ := endpoint.Device(s, protocol, &own)
				devices++
				for _, sig := range d.Signals {
					if _, ok := h.Value(d.Key(sig)); ok {
						signals++
					} else if protocol == "modbus" && sig.Kind != "status_word" {
						t.Errorf("%s: the home has no %s", lang, d.Key(sig))
					}
				}
			}
		}
		if problems := root.Problems(); problems != nil {
			t.Errorf("%s: %v", lang, problems)
		}
		if devices != len(instruments)+len(detectors)+12 {
			t.Errorf("%s: %d devices are configured", lang, devices)
		}
		if signals != len(h.values) {
			t.Errorf("%s: %d of the home's %d signals are configured", lang, signals, len(h.values))
		}
		han := regexp.MustCompile(`\p{Han}`)
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "topic:")
			if lang == i18n.English && han.MatchString(line) {
				t.Errorf("Chinese in the English configuration: %s", line)
			}
		}
	}
}

func TestEverySentenceOfTheConfigurationIsInTheCatalogue(t *testing.T) {
	found := regexp.MustCompile(`\{\{(?:say|name) "([^"]*)"\}\}`).FindAllStringSubmatch(configuration, -1)
	if len(found) < 30 {
		t.Fatalf("only %d sentences found", len(found))
	}
	for _, m := range found {
		if !i18n.Has(m[1]) {
			t.Errorf("no Chinese for %q", m[1])
		}
	}
}

func TestTheStoryFitsIntoTwoMinutesAndEndsWell(t *testing.T) {
	h := start(t, Options{})
	var last time.Duration
	first := time.Duration(0)
	for _, step := range Story() {
		if step.At <= last || step.At > 2*time.Minute {
			t.Errorf("%q comes at %v, after %v", step.Tell, step.At, last)
		}
		last = step.At
		step.Do(h)
		if first == 0 && value(t, h, "kitchen-gas.lel") >= gasHigh {
			first = step.At
		}
		if !i18n.Has(step.Tell.Format) {
			t.Errorf("no Chinese for %q", step.Tell.Format)
		}
	}
	if first == 0 || first > 25*time.Second {
		t.Errorf("the first alarm is caused at %v, want within 25 s", first)
	}
	for signal, want := range map[string]float64{"smoke-corridor-east.smoke": 0, "smoke-corridor-west.smoke": 0, "kitchen-gas.valve": 0} {
		if got := value(t, h, signal); got != want {
			t.Errorf("at the end %s is %v", signal, got)
		}
	}
	if got := value(t, h, "kitchen-gas.lel"); got >= gasLow {
		t.Errorf("at the end the gas is at %v %%LEL", got)
	}
	for device, silent := range h.silent {
		if silent {
			t.Errorf("at the end %s is silent", device)
		}
	}
	if h.platform.down.Load() {
		t.Error("at the end the platform is down")
	}
}

func TestTheStoryIsToldOnceAtItsTimes(t *testing.T) {
	h := start(t, Options{})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var told []time.Duration
		if err := h.Tell(t.Context(), func(i18n.Text) { told = append(told, time.Since(start)) }); err != nil {
			t.Fatal(err)
		}
		if len(told) != len(Story()) {
			t.Fatalf("%d of %d steps were told", len(told), len(Story()))
		}
		for i, step := range Story() {
			if told[i] != step.At {
				t.Errorf("step %d was told at %v, want %v", i, told[i], step.At)
			}
		}
	})
}

func TestTheStoryEndsWhenNobodyListensAnyMore(t *testing.T) {
	h := start(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Tell(ctx, func(i18n.Text) { t.Error("told") }); err == nil {
		t.Error("the story went on")
	}
}

func TestAnAddressThatIsTakenIsAnErrorAndLeavesNothingOpen(t *testing.T) {
	h := start(t, Options{})
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	host := func(w *web) string { return strings.Split(w.url, "/")[2] }
	for _, o := range []Options{
		{Modbus: h.Buses()[0]}, {MQTT: h.broker.address}, {Platform: host(h.platform.web)}, {Phone: host(h.phone.web)}, {Cameras: host(h.cameras.web)},
		{Modbus: "nowhere"}, {Modbus: "127.0.0.1:65535", Meters: 1},
	} {
		if other, err := Start(o); err == nil {
			other.Close()
			t.Errorf("%+v: no error", o)
		} else if !strings.HasPrefix(err.Error(), "sim: ") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestUnknownSignalsAndDevicesChangeNothing(t *testing.T) {
	h := start(t, Options{})
	before := h.Config(i18n.English, "d", "127.0.0.1:1")
	h.Set("attic.smoke", 1)
	h.Silence("attic", true)
	if h.isSilent("attic") {
		t.Error("a device that is not there is silent")
	}
	if !bytes.Equal(before, h.Config(i18n.English, "d", "127.0.0.1:1")) {
		t.Error("the configuration changed")
	}
}
