package influx

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

const scripts = "../../../deploy/platform/"

// oneOf is how a script for InfluxDB 1 or 2 names the measurements that it makes minutes and hours of.
var oneOf = regexp.MustCompile(`/\^\(([a-z|]+)\)\$/`)

func wantClasses(t *testing.T, where string, got []string) {
	t.Helper()
	want := make([]string, 0, len(classes))
	for _, c := range classes {
		want = append(want, string(c))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: measurements %q, those of readings are %q", where, got, want)
	}
}

// TestTheScriptsOfThePlatformNameWhatIsWritten: each script under deploy/platform makes minutes and hours of exactly the
// measurements of readings (contract, section 7), names no field, and has the same three retentions.
// Rows TS01 and TS07.
func TestTheScriptsOfThePlatformNameWhatIsWritten(t *testing.T) {
	t.Run("InfluxDB 1", func(t *testing.T) {
		text, err := os.ReadFile(scripts + "influxdb-1.iql")
		if err != nil {
			t.Fatal(err)
		}
		queries := regexp.MustCompile(`(?m)^CREATE CONTINUOUS QUERY (\w+) .*$`).FindAllStringSubmatch(string(text), -1)
		if len(queries) != 2 || queries[0][1] != "minutes" || queries[1][1] != "hours" {
			t.Fatalf("queries %q", queries)
		}
		for _, q := range queries {
			wantClasses(t, q[1], strings.Split(oneOf.FindStringSubmatch(q[0])[1], "|"))
			if !strings.Contains(q[0], "SELECT mean(*), min(*), max(*), last(*)") {
				t.Errorf("%s names fields", q[1])
			}
		}
		for _, kept := range []string{"raw ON sites DURATION 52w", "minutes ON sites DURATION 156w", "hours ON sites DURATION INF"} {
			if !strings.Contains(string(text), "CREATE RETENTION POLICY "+kept) {
				t.Errorf("no policy %s", kept)
			}
		}
	})
	t.Run("InfluxDB 2", scriptsOf2)
	t.Run("InfluxDB 3", scriptsOf3)
}

func scriptsOf2(t *testing.T) {
	f, err := os.Open(scripts + "influxdb-2.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const week = 7 * 24 * 3600
	kept, tasks := map[string]int{}, 0
	for documents, names := yaml.NewDecoder(f), map[string]bool{}; ; {
		var d struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct {
				Name, Query    string
				RetentionRules []struct {
					EverySeconds int `yaml:"everySeconds"`
				} `yaml:"retentionRules"`
			}
		}
		if err := documents.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if names[d.Metadata.Name] {
			t.Errorf("two resources %q", d.Metadata.Name)
		}
		names[d.Metadata.Name] = true
		switch d.Kind {
		case "Bucket":
			kept[d.Spec.Name] = 0
			for _, rule := range d.Spec.RetentionRules {
				kept[d.Spec.Name] = rule.EverySeconds
			}
		case "Task":
			tasks++
			wantClasses(t, d.Spec.Name, strings.Split(oneOf.FindStringSubmatch(d.Spec.Query)[1], "|"))
			for _, bucket := range regexp.MustCompile(`bucket: "([^"]+)"`).FindAllStringSubmatch(d.Spec.Query, -1) {
				if _, is := kept[bucket[1]]; !is {
					t.Errorf("%s uses the bucket %q, which is not made before", d.Spec.Name, bucket[1])
				}
			}
			if columns := regexp.MustCompile(`\br\.(\w+)`).FindAllStringSubmatch(d.Spec.Query, -1); len(columns) == 0 ||
				slices.ContainsFunc(columns, func(c []string) bool { return c[1] != "_measurement" && c[1] != "_field" }) {
				t.Errorf("%s names columns %q", d.Spec.Name, columns)
			}
		}
	}
	if tasks != 2 || len(kept) != 3 || kept["sites"] != 52*week || kept["sites-minutes"] != 156*week || kept["sites-hours"] != 0 {
		t.Errorf("%d tasks, buckets %v", tasks, kept)
	}
}

// scriptsOf3 runs the script with a command that writes down how it is called.
func scriptsOf3(t *testing.T) {
	dir := t.TempDir()
	record := "#!/bin/sh\n{ printf '%s\\t' \"$@\"; echo; } >>" + filepath.Join(dir, "calls") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "influxdb3"), []byte(record), 0o700); err != nil {
		t.Fatal(err)
	}
	run := exec.Command("sh", scripts+"influxdb-3.sh")
	run.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	var databases []string
	names, sources := map[string]bool{}, map[string][]string{}
	for line := range bytes.Lines(calls) {
		args := strings.Split(strings.TrimSuffix(string(line), "\t\n"), "\t")
		if args[1] == "database" {
			databases = append(databases, strings.Join(args[2:], " "))
			continue
		}
		names[args[len(args)-1]] = true
		given := map[string]string{}
		for pair := range strings.SplitSeq(args[slices.Index(args, "--trigger-arguments")+1], ",") {
			key, value, _ := strings.Cut(pair, "=")
			given[key] = value
		}
		if given["source_measurement"] != given["target_measurement"] || given["specific_fields"] != "" {
			t.Errorf("%q", args)
		}
		job := given["target_database"] + " " + given["interval"] + " " + given["calculations"]
		sources[job] = append(sources[job], given["source_measurement"])
	}
	if want := []string{"--retention-period 52w sites", "--retention-period 156w sites_minutes", "sites_hours"}; !slices.Equal(databases, want) {
		t.Errorf("databases %q, want %q", databases, want)
	}
	for _, calculation := range []string{"avg", "min", "max", "last_value"} {
		for _, job := range []string{"sites_minutes 1min ", "sites_hours 1h "} {
			wantClasses(t, job+calculation, sources[job+calculation])
		}
	}
	if len(sources) != 8 || len(names) != 8*len(classes) {
		t.Errorf("%d jobs, %d triggers", len(sources), len(names))
	}
}
