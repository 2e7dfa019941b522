// Command sbom writes what must go with a binary of embergate: the list of the modules inside it (CycloneDX 1.6), or their
// licences. It reads the modules from the binary itself, so the list is of what is there, not of what go.mod allows.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	notices := flag.Bool("notices", false, "write the licences of the modules")
	version := flag.String("version", "", "version of the binary")
	at := flag.Int64("time", 0, "when it was made, in seconds since 1970")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: sbom [-notices] [-version V] [-time SECONDS] BINARY")
	}
	info, err := buildinfo.ReadFile(flag.Arg(0))
	if err == nil && *notices {
		err = writeNotices(os.Stdout, info)
	} else if err == nil {
		err = writeSBOM(os.Stdout, info, flag.Arg(0), *version, time.Unix(*at, 0))
	}
	if err != nil {
		log.Fatalf("sbom: %v", err)
	}
}

// component is one of CycloneDX 1.6, as much of it as is known.
type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Alg     string `json:"alg"`
	Content string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type bom struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

// writeSBOM lists the modules of a binary, Go's own library among them. The hash of a module is the one of go.sum.
func writeSBOM(w io.Writer, info *buildinfo.BuildInfo, file, version string, at time.Time) error {
	binary, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(binary)
	of := module("application", info.Main.Path, version, "")
	of.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum[:])}}
	for _, s := range info.Settings {
		if s.Key == "GOARCH" || s.Key == "vcs.revision" || s.Key == "vcs.modified" {
			of.Properties = append(of.Properties, property{"go:" + s.Key, s.Value})
		}
	}
	all := bom{"CycloneDX", "1.6", 1, metadata{at.UTC().Format(time.RFC3339), of}, []component{module("library", "std", strings.TrimPrefix(info.GoVersion, "go"), "")}}
	for _, m := range modules(info) {
		all.Components = append(all.Components, module("library", m.Path, m.Version, m.Sum))
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

func module(kind, path, version, sum string) component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	c := component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
	if sum != "" {
		c.Properties = []property{{"go:sum", sum}}
	}
	return c
}

// modules are those inside the binary, with what took the place of one.
func modules(info *buildinfo.BuildInfo) []*debug.Module {
	var all []*debug.Module
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, m)
	}
	return all
}

// writeNotices writes the licences, notices and patent grants of Go and of each module. A module without any is an error.
func writeNotices(w io.Writer, info *buildinfo.BuildInfo) error {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	if err := writeLicences(w, "Go "+info.GoVersion, strings.TrimSpace(string(goroot))); err != nil {
		return err
	}
	all := modules(info)
	ask := []string{"list", "-m", "-f", "{{.Dir}}"}
	for _, m := range all {
		ask = append(ask, m.Path)
	}
	dirs, err := exec.Command("go", ask...).Output()
	if err != nil {
		return fmt.Errorf("go list -m: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(dirs)), "\n")
	if len(lines) != len(all) {
		return fmt.Errorf("go list -m: %d folders of %d modules", len(lines), len(all))
	}
	for i, m := range all {
		if err := writeLicences(w, m.Path+" "+m.Version, lines[i]); err != nil {
			return err
		}
	}
	return nil
}

func writeLicences(w io.Writer, name, dir string) error {
	var files []string
	for _, pattern := range []string{"LICEN[SC]E*", "LICENSES/*", "COPYING*", "NOTICE*", "PATENTS*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	written := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, syscall.EISDIR) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "==== %s: %s\n\n%s\n\n", name, filepath.Base(file), strings.TrimSpace(string(text))); err != nil {
			return err
		}
		written++
	}
	if written == 0 {
		return errors.New("no licence in " + name)
	}
	return nil
}
