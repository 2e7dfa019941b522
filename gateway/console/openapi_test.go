package console

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// validator checks a description against the schema that OpenAPI publishes (npm, MIT); .ci/run puts it into the cache.
const validator = "openapi-schema-validator-2.11.0"

// TestTheDescriptionIsValid asks a validator of another make; and no two operations have one name, which it does not see.
func TestTheDescriptionIsValid(t *testing.T) {
	named := map[string]string{}
	for path, methods := range described(t).Paths {
		for method, o := range methods {
			if other, double := named[o.OperationID]; double || o.OperationID == "" {
				t.Errorf("%s %s and %s are both called %q", method, path, other, o.OperationID)
			}
			named[o.OperationID] = method + " " + path
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	judge := filepath.Join(cache, "embergate", validator, "node_modules", ".bin", "validate-api")
	if _, err := os.Stat(judge); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("needs %s (npm), put into the cache by .ci/run", validator)
		}
		t.Skipf("needs %s (npm), put into the cache by .ci/run", validator)
	}
	out, err := exec.Command(judge, "openapi.json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"valid": true`) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestWhatAsksForALoginSaysSo: in the description as in the routes.
func TestWhatAsksForALoginSaysSo(t *testing.T) {
	d := described(t)
	for _, rt := range newWeb(Options{Metrics: http.NotFoundHandler()}).all() {
		method, path, _ := strings.Cut(rt.pattern, " ")
		o, ok := d.Paths[path][strings.ToLower(method)]
		if open := o.Security != nil && len(*o.Security) == 0; ok && open != (rt.role == Public) {
			t.Errorf("%s is described as open: %v; its role is %q", rt.pattern, open, rt.role)
		}
	}
}
