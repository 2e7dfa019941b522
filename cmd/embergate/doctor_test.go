package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unpacked are the files of a bundle, by name.
func unpacked(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for all := tar.NewReader(zip); ; {
		header, err := all.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(all)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "embergate-doctor/")] = string(text)
	}
}

// Rows OP10 and OP07: the bundle holds what helps, and neither a secret nor how people are reached; with a daemon, without
// one, and with a configuration that has mistakes.
func TestDoctorTellsWhatIsWrongAndGivesNothingAway(t *testing.T) {
	dir := t.TempDir()
	reference, err := os.ReadFile("testdata/nursing-home.yaml")
	if err != nil {
		t.Fatal(err)
	}
	private := []string{"13800000001", "13800000002", "13800000003", "0533-7000000", "zhang@example.org", canary("beat"), canary("url"), canary("inline")}
	if err := os.Mkdir(filepath.Join(dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`_file: \./secrets/(\w+)`).FindAllStringSubmatch(string(reference), -1) {
		private = append(private, canary(m[1]))
		if err := os.WriteFile(filepath.Join(dir, "secrets", m[1]), []byte(canary(m[1])+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := regexp.MustCompile(`via: \[[^\]]*\]`).ReplaceAllString(string(reference), "via: [hook]")
	text = strings.NewReplacer(
		"http://127.0.0.1:18086/hook", "http://hooker:"+canary("url")+"@127.0.0.1:1/x", "mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:1",
		"http://127.0.0.1:18086/beat", "http://127.0.0.1:1/"+canary("beat"), "key_file: ./secrets/wecom", "key: "+canary("inline"),
		"http://127.0.0.1:8086", "http://127.0.0.1:1", "listen: 127.0.0.1:8080", "listen: 127.0.0.1:1", "language: zh ", "language: en ",
		"127.0.0.1:5200", "127.0.0.1:1", "platform.example.org", "127.0.0.1",
	).Replace(text)
	file := filepath.Join(dir, "home.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(dir, "bundle.tar.gz")
	examine := func(what string, finds, files []string, more ...string) {
		t.Helper()
		s, out, errs := verb(t, append([]string{"doctor", "-c", file, "-o", bundle}, more...)...)
		if s != exitFailed {
			t.Fatalf("%s: %d %s%s", what, s, out, errs)
		}
		for _, words := range finds {
			if !strings.Contains(out, words) {
				t.Errorf("%s: %q is not found:\n%s", what, words, out)
			}
		}
		all := unpacked(t, bundle)
		for _, name := range append(files, "machine.txt", "service-log.txt", "findings.txt", "README.txt") {
			if all[name] == "" {
				t.Errorf("%s: no %s", what, name)
			}
		}
		for name, text := range all {
			leaks(t, what+": "+name, text, private)
		}
		leaks(t, what, out+errs, private)
		if info, err := os.Stat(bundle); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
	}
	if got := (&doctor{}).clean(`msg="nobody may use the console yet" code=J99V-NWEA-U8K5 x=1`); strings.Contains(got, "J99V") || !strings.HasSuffix(got, " x=1") {
		t.Error(got)
	}
	port := "! the serial port /dev/serial/by-id/usb-FTDI_FT232R-if00-port0 is not there"
	examine("no daemon", []string{"no daemon answers", port}, []string{"config.yaml", "events.jsonl"}, "--url", "http://127.0.0.1:1")

	mayAsk(t, filepath.Join(dir, "data"))
	var log lockedBuffer
	url := runGateway(t, file, slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	page(t, url+"/api/v1/status", `"name":"endpoint zigbee","working":false`)
	examine("with a daemon", []string{port, "endpoint zigbee does not work"},
		[]string{"config.yaml", "status.json", "devices.json", "alarms.json", "deliveries.json", "metrics.txt", "goroutines.txt", "events.jsonl", "journal-check.txt"}, "--url", url)
	if all := unpacked(t, bundle); !strings.Contains(all["goroutines.txt"], "gateway.(*hub)") || !strings.Contains(all["config.yaml"], "password: '***'") || !strings.Contains(all["events.jsonl"], "gateway.started") {
		t.Errorf("goroutines %s, configuration %.2000s, events %.200s", all["goroutines.txt"], all["config.yaml"], all["events.jsonl"])
	}

	if err := os.WriteFile(file, []byte(text+"nonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	examine("mistakes", []string{"the configuration has 1 mistakes"}, []string{"config-mistakes.txt", "status.json"}, "--url", url)
	if s, _, errs := verb(t, "doctor", "-c", filepath.Join(dir, "none.yaml"), "-o", bundle); s != exitInvalid {
		t.Errorf("%d %s", s, errs)
	}
}
