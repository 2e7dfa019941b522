package i18n_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"embergate/drivers"
	"embergate/drivers/i18n"

	"go.yaml.in/yaml/v4"
)

// speakers are the functions whose first string is a sentence for people.
var speakers = []string{"T", "Say", "Problem", "refuse"}

var (
	verb     = regexp.MustCompile(`%(\[\d+\])?[-+# 0]*[\d.]*[a-zA-Z]`)
	inTmpl   = regexp.MustCompile("\\b(?:say|t) [\"`]([^\"`]+)[\"`]")
	inScript = regexp.MustCompile(`\bsay\(["']([^"']+)["']`)
)

// TestEverySentenceIsInChinese walks the project's source and pages and fails for a sentence that the catalogue lacks.
func TestEverySentenceIsInChinese(t *testing.T) {
	missing := map[string][]string{}
	need := func(sentence, where string) {
		if !i18n.Has(sentence) {
			missing[sentence] = append(missing[sentence], where)
		}
	}
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch {
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			goSentences(t, path, need)
		case strings.HasSuffix(path, ".html") || strings.HasSuffix(path, ".js"):
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			expr := inTmpl
			if strings.HasSuffix(path, ".js") {
				expr = inScript
			}
			for _, m := range expr.FindAllStringSubmatch(string(data), -1) {
				need(m[1], path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range drivers.Kinds {
		need(kind.Name, "drivers/kinds.go")
	}
	for sentence, where := range missing {
		t.Errorf("no Chinese for %q (%s)", sentence, strings.Join(slices.Compact(where), ", "))
	}
}

func goSentences(t *testing.T, path string, need func(sentence, where string)) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name := ""
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			name = f.Sel.Name
		case *ast.Ident:
			name = f.Name
		}
		first := 0
		if name == "refuse" && len(call.Args) > 1 {
			first = 1 // after the cause
		}
		lit, ok := call.Args[first].(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING || !slices.Contains(speakers, name) {
			return true
		}
		if sentence, err := strconv.Unquote(lit.Value); err == nil {
			need(sentence, set.Position(lit.Pos()).String())
		}
		return true
	})
}

// TestBothLanguagesTakeTheSameArguments compares the verbs of each sentence, and finds sentences said differently in two
// files of the catalogue.
func TestBothLanguagesTakeTheSameArguments(t *testing.T) {
	files, err := filepath.Glob("zh/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no catalogue", err)
	}
	all, from := map[string]string{}, map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var part map[string]string
		if err := yaml.Load(data, &part); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for en, zh := range part {
			if other, ok := all[en]; ok && other != zh {
				t.Errorf("%q reads %q in %s and %q in %s", en, zh, file, other, from[en])
			}
			all[en], from[en] = zh, file
			if got, want := verbs(zh), verbs(en); !slices.Equal(got, want) {
				t.Errorf("%s: %q takes %v, its Chinese %v", file, en, want, got)
			}
		}
	}
}

// verbs are the sorted verbs of a format, without explicit indexes.
func verbs(format string) []string {
	var list []string
	for _, v := range verb.FindAllString(strings.ReplaceAll(format, "%%", ""), -1) {
		list = append(list, regexp.MustCompile(`\[\d+\]`).ReplaceAllString(v, ""))
	}
	slices.Sort(list)
	return list
}

func TestSayTranslatesTextsAmongItsArguments(t *testing.T) {
	inner := i18n.T("unknown key")
	if got := i18n.Chinese.Say("not valid YAML: %s", inner); got != "不是有效的 YAML：未知的键" {
		t.Error(got)
	}
	if got := i18n.T("not valid YAML: %s", inner).String(); got != "not valid YAML: unknown key" {
		t.Error(got)
	}
	if got := i18n.Chinese.Say("a sentence that nobody wrote down"); got != "a sentence that nobody wrote down" {
		t.Error(got)
	}
}
