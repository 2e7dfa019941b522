package deploy

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// packages are what deploy/package/build made.
type packages struct{ dir, deb, rpm, sbom string }

// TestPackages keeps what is promised of the packages (rows OP01 and SE10), with those of amd64.
func TestPackages(t *testing.T) {
	for _, tool := range [][2]string{{"dpkg-deb", "dpkg"}, {"lintian", "lintian"}, {"rpmbuild", "rpm"}, {"git", "git"}, {"systemd-sysusers", "systemd"},
		{"systemd-analyze", "systemd"}, {"deb-systemd-helper", "init-system-helpers"}} {
		if _, err := exec.LookPath(tool[0]); err != nil {
			missing(t, fmt.Sprintf("needs %s (Debian package %s)", tool[0], tool[1]))
		}
	}
	if os.Getuid() != 0 {
		missing(t, "needs root, to install into a folder")
	}
	p := packages{dir: t.TempDir()}
	told(t, "package/build", p.dir, "amd64")
	p.deb, p.rpm, p.sbom = p.only(t, "*_amd64.deb"), p.only(t, "*.x86_64.rpm"), p.only(t, "*.cdx.json")

	t.Run("checksums", func(t *testing.T) {
		out := told(t, "sh", "-c", "cd "+p.dir+" && sha256sum -c SHA256SUMS")
		if n := strings.Count(out, ": OK\n"); n != 3 {
			t.Errorf("three files are beside SHA256SUMS, it knows %d:\n%s", n, out)
		}
	})
	t.Run("the deb pleases lintian", func(t *testing.T) { told(t, "lintian", "--allow-root", "--fail-on", "error", p.deb) })
	t.Run("the rpm", p.testRPM)
	t.Run("the deb installed, upgraded, removed, purged", p.testDeb)
}

// missing skips the test, but not in CI.
func missing(t *testing.T, what string) {
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// only is the one file of a pattern.
func (p packages) only(t *testing.T, pattern string) string {
	found, err := filepath.Glob(filepath.Join(p.dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// told runs a program and answers what it says; the test ends where it fails.
func told(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// files are those of both packages, with their modes; the manuals are in doc.
var files = map[string]fs.FileMode{
	"/usr/bin/embergate":                                      0o755,
	"/usr/lib/systemd/system/embergate.service":               0o644,
	"/usr/lib/sysusers.d/embergate.conf":                      0o644,
	"/usr/share/doc/embergate/copyright":                      0o644,
	"/usr/share/doc/embergate/README.md":                      0o644,
	"/usr/share/doc/embergate/deploy/README.md":               0o644,
	"/usr/share/doc/embergate/THIRD-PARTY-LICENSES.gz":        0o644,
	"/usr/share/doc/embergate/deploy/platform/influxdb-1.iql": 0o644,
}

func (p packages) testRPM(t *testing.T) {
	if out := told(t, "rpm", "-K", p.rpm); !strings.Contains(out, "digests OK") {
		t.Error(out)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(told(t, "rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME}\n]", p.rpm)) {
		var name, owner string
		var mode uint32
		if _, err := fmt.Sscanf(line, "%s %o %s", &name, &mode, &owner); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		seen[name] = true
		want, known := files[name]
		switch {
		case !known && !strings.HasPrefix(name, "/usr/share/doc/embergate"):
			t.Errorf("%s is not promised", name)
		case owner != "root:root" || known && fs.FileMode(mode&0o7777) != want || mode&0o022 != 0:
			t.Errorf("%s belongs to %s with mode %o", name, owner, mode)
		}
	}
	for name := range files {
		if !seen[name] {
			t.Errorf("%s is not there", name)
		}
	}
	version := told(t, "rpm", "-qp", "--qf", "%{VERSION}", p.rpm)
	if deb := told(t, "dpkg-deb", "-f", p.deb, "Version"); strings.TrimSpace(deb) != version {
		t.Errorf("the deb is %s, the rpm %s", deb, version)
	}
}

// testDeb installs into an empty folder; the scripts of the package run with that as their root.
func (p packages) testDeb(t *testing.T) {
	root := emptySystem(t)
	dpkg := func(args ...string) string {
		return told(t, "dpkg", append([]string{"--root=" + root, "--force-script-chrootless", "--force-depends"}, args...)...)
	}

	if out := dpkg("-i", p.deb); !strings.Contains(out, "no configuration yet") {
		t.Errorf("it does not say what to do next:\n%s", out)
	}
	for name, want := range files {
		testFile(t, root, name, want, 0)
	}
	group := numbers(t, root, "etc/group")["embergate"]
	testFile(t, root, "/etc/embergate", 0o750|fs.ModeSetgid|fs.ModeDir, group)
	testUser(t, root)
	if _, err := os.Lstat(filepath.Join(root, "etc/systemd/system/multi-user.target.wants/embergate.service")); err != nil {
		t.Errorf("it is not enabled: %v", err)
	}
	if out := told(t, "systemd-analyze", "--root="+root, "verify", "embergate.service"); strings.Contains(out, "embergate") {
		t.Error(out)
	}
	p.testBinary(t, filepath.Join(root, "usr/bin/embergate"))
	p.testEmptyRoot(t, filepath.Join(root, "usr/bin/embergate"))

	conf := filepath.Join(root, "etc/embergate/embergate.yaml")
	told(t, filepath.Join(root, "usr/bin/embergate"), "init", filepath.Dir(conf))
	testFile(t, root, "/etc/embergate/embergate.yaml", 0o640, group)
	must(t, os.WriteFile(conf, []byte("site: {id: home}\n"), 0o640))
	must(t, os.Chmod(filepath.Dir(conf), 0o770|fs.ModeSetgid)) // as the manual says for devices added on the page
	must(t, os.MkdirAll(filepath.Join(root, "var/lib/embergate"), 0o700))
	kept := func(when string) {
		t.Helper()
		if text, err := os.ReadFile(conf); string(text) != "site: {id: home}\n" {
			t.Errorf("%s, the configuration: %q, %v", when, text, err)
		}
		testFile(t, root, "/etc/embergate", 0o770|fs.ModeSetgid|fs.ModeDir, group)
	}
	if out := dpkg("-i", p.deb); strings.Contains(out, "no configuration yet") {
		t.Errorf("it overlooks the configuration:\n%s", out)
	}
	kept("after an upgrade")
	if out := dpkg("-r", "embergate"); !strings.Contains(out, "are kept") {
		t.Errorf("it does not say what it keeps:\n%s", out)
	}
	kept("after it was removed")
	if out := dpkg("-P", "embergate"); !strings.Contains(out, "embergate: removing") {
		t.Errorf("it does not say what it removes:\n%s", out)
	}
	for _, dir := range []string{"etc/embergate", "var/lib/embergate"} {
		if _, err := os.Stat(filepath.Join(root, dir)); !os.IsNotExist(err) {
			t.Errorf("%s after a purge: %v", dir, err)
		}
	}
}

// emptySystem is a folder with what dpkg and the unit want of a system, and nothing installed.
func emptySystem(t *testing.T) string {
	root := t.TempDir()
	units := filepath.Join(root, "usr/lib/systemd/system")
	for _, dir := range []string{"etc", "bin", "usr/lib/systemd", "var/lib/dpkg/updates", "var/lib/dpkg/info"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644))
	must(t, os.WriteFile(filepath.Join(root, "etc/group"), []byte("dialout:x:20:\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(root, "bin/kill"), []byte("#!/bin/sh\n"), 0o755)) // ExecReload names it
	told(t, "cp", "-a", "/lib/systemd/system", units)                                    // the targets that the unit wants
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testFile looks at the mode of a file, and that it belongs to root and a group.
func testFile(t *testing.T, root, name string, mode fs.FileMode, group uint32) {
	t.Helper()
	about, err := os.Lstat(filepath.Join(root, name))
	if err != nil {
		t.Error(err)
		return
	}
	if own := about.Sys().(*syscall.Stat_t); about.Mode() != mode || own.Uid != 0 || own.Gid != group {
		t.Errorf("%s: %v of %d:%d, not %v of 0:%d", name, about.Mode(), own.Uid, own.Gid, mode, group)
	}
}

// numbers are the users or groups of a file of root, with their numbers.
func numbers(t *testing.T, root, file string) map[string]uint32 {
	text, err := os.ReadFile(filepath.Join(root, file))
	must(t, err)
	all := map[string]uint32{}
	for line := range strings.Lines(string(text)) {
		var n uint32
		name, rest, _ := strings.Cut(line, ":")
		if _, err := fmt.Sscanf(rest, "x:%d:", &n); err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
		all[name] = n
	}
	return all
}

// testUser looks for a user without a shell, in its own group and in dialout, and in no other (SE10).
func testUser(t *testing.T, root string) {
	passwd, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	must(t, err)
	if !regexp.MustCompile(`(?m)^embergate:x:\d+:\d+:[^:]*:/var/lib/embergate:/usr/sbin/nologin$`).Match(passwd) {
		t.Errorf("the user is not as promised:\n%s", passwd)
	}
	groups, err := os.ReadFile(filepath.Join(root, "etc/group"))
	must(t, err)
	if member := regexp.MustCompile(`(?m)^([^:\n]+):x:\d+:.*\bembergate\b`).FindAllSubmatch(groups, -1); len(member) != 1 || string(member[0][1]) != "dialout" {
		t.Errorf("it is a member of %s:\n%s", member, groups)
	}
}

// testBinary: static, of the package's version, and the one that the list of its modules is of.
func (p packages) testBinary(t *testing.T, binary string) {
	f, err := elf.Open(binary)
	must(t, err)
	defer f.Close()
	for _, part := range f.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static: %v", binary, part.Type)
		}
	}
	version := strings.TrimSpace(told(t, "dpkg-deb", "-f", p.deb, "Version"))
	if out := told(t, binary, "version"); !strings.HasPrefix(out, "embergate "+version+", commit ") {
		t.Errorf("the deb of %s holds %s", version, out)
	}
	var bom struct {
		BOMFormat string
		Metadata  struct {
			Component struct{ Hashes []struct{ Content string } }
		}
		Components []struct{ Name, Version, PURL string }
	}
	text, err := os.ReadFile(p.sbom)
	must(t, err)
	must(t, json.Unmarshal(text, &bom))
	program, err := os.ReadFile(binary)
	must(t, err)
	sum := sha256.Sum256(program)
	if of := bom.Metadata.Component; bom.BOMFormat != "CycloneDX" || len(of.Hashes) != 1 || of.Hashes[0].Content != hex.EncodeToString(sum[:]) {
		t.Errorf("the SBOM is of another binary: %+v", bom.Metadata)
	}
	gomod, err := os.ReadFile("../go.mod")
	must(t, err)
	for _, name := range []string{"modernc.org/sqlite", "github.com/goburrow/modbus", "github.com/eclipse/paho.mqtt.golang"} {
		found := false
		for _, c := range bom.Components {
			found = found || c.Name == name && bytes.Contains(gomod, []byte(name+" "+c.Version+"\n")) && c.PURL == "pkg:golang/"+name+"@"+c.Version
		}
		if !found {
			t.Errorf("the SBOM does not name %s as go.mod does", name)
		}
	}
}

// testEmptyRoot: the binary works in a root with nothing but itself, as a user without rights, as in the container: it
// writes a configuration, and serves with it until it is told to stop.
func (p packages) testEmptyRoot(t *testing.T, binary string) {
	const nobody = 65532
	root := t.TempDir()
	told(t, "cp", binary, filepath.Join(root, "embergate"))
	for _, dir := range []string{"etc/embergate", "var/lib/embergate", "tmp"} {
		must(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
		must(t, os.Chown(filepath.Join(root, dir), nobody, nobody))
	}
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "/embergate", args...)
		cmd.Dir, cmd.Env = "/", []string{}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
	if out, err := inside("init", "/etc/embergate").CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	conf := filepath.Join(root, "etc/embergate/embergate.yaml")
	text, err := os.ReadFile(conf)
	must(t, err)
	must(t, os.WriteFile(conf, bytes.Replace(text, []byte("listen: 127.0.0.1:8080"), []byte("listen: 127.0.0.1:0"), 1), 0o644))

	daemon := inside("run", "-c", "/etc/embergate/embergate.yaml")
	log, err := daemon.StderrPipe()
	must(t, err)
	must(t, daemon.Start())
	var said strings.Builder
	for lines := bufio.NewScanner(log); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "gateway started") {
			must(t, daemon.Process.Signal(syscall.SIGTERM))
		}
	}
	if err := daemon.Wait(); err != nil {
		t.Errorf("it did not end well: %v\n%s", err, said.String())
	}
	if _, err := os.Stat(filepath.Join(root, "var/lib/embergate/state.db")); err != nil || !strings.Contains(said.String(), "gateway stopped") {
		t.Errorf("state: %v\n%s", err, said.String())
	}
}
