package gateway_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPromisesNameTestsThatExist: a promise in a manual is kept by a test that is there.
func TestPromisesNameTestsThatExist(t *testing.T) {
	var tests strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "drivertest.go") {
			var data []byte
			data, err = os.ReadFile(path)
			tests.Write(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	manuals, err := filepath.Glob("../*/README.md")
	if err != nil || len(manuals) != 5 {
		t.Fatalf("manuals: %v, %v", manuals, err)
	}
	name := regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z]\w*)`)
	for _, manual := range manuals {
		data, err := os.ReadFile(manual)
		if err != nil {
			t.Fatal(err)
		}
		named := name.FindAllString(string(data), -1)
		if len(named) == 0 {
			t.Errorf("%s names no test", manual)
		}
		for _, n := range named {
			if !strings.Contains(tests.String(), "func "+n+"(") {
				t.Errorf("%s names %s, which is not there", manual, n)
			}
		}
	}
}
