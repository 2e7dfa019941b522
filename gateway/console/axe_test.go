package console

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// axe-core tells what people with a screen reader, with weak eyes or without a mouse cannot use (Deque Systems, MPL 2.0).
// .ci/run puts it into the cache; it is no part of the program.
const (
	axeVersion = "4.14.1"
	axeSum     = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
)

// axeSource is the script, "" where it is not there.
var axeSource = sync.OnceValue(func() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	data, err := os.ReadFile(filepath.Join(cache, "embergate", "axe-core-"+axeVersion, "axe.min.js"))
	if sum := sha256.Sum256(data); err != nil || hex.EncodeToString(sum[:]) != axeSum {
		return ""
	}
	return string(data)
})

// needAxe skips where axe-core is missing; where everything must be tested, it fails.
func needAxe(t *testing.T) {
	t.Helper()
	if axeSource() != "" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("needs axe-core %s (npm), put into the cache by .ci/run", axeVersion)
	}
	t.Skipf("needs axe-core %s (npm), put into the cache by .ci/run", axeVersion)
}

// axe is what is wrong with the page that is open, as "rule: what: where"; only what is serious or worse.
func (b *tab) axe() []string {
	b.t.Helper()
	var loaded bool
	b.value("typeof axe === 'object'", &loaded)
	if !loaded {
		b.value(axeSource()+";1", nil)
	}
	var found []string
	b.value(`axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']}).then((r) => r.violations
		.filter((v) => v.impact === 'serious' || v.impact === 'critical')
		.map((v) => v.id + ': ' + v.help + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160) + ' ' + (n.any[0] ? n.any[0].message : '')).join(' | ')))`, &found)
	return found
}

func TestAxeIsAskedForWhatItKnows(t *testing.T) {
	needAxe(t)
	b := browser(t)
	b.value(`document.body.innerHTML = '<main><img src="x"><button></button></main>'`, nil)
	if got := strings.Join(b.axe(), "\n"); !strings.Contains(got, "image-alt") || !strings.Contains(got, "button-name") {
		t.Errorf("it does not find what is wrong on purpose: %s", got)
	}
}
