// Package i18n is the one catalogue of what a person reads, in Chinese and English.
//
// The English text is the key: code says what it means, in English, and zh/*.yaml holds the Chinese of each
// sentence, one file a package that speaks. A test walks the source and fails for a sentence without its Chinese.
//
// A sentence is a fmt format. Both languages take the same arguments in the same order; where Chinese wants another
// order it uses explicit indexes (%[2]s). An argument that is itself a Text is said in the same language.
package i18n

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"

	"go.yaml.in/yaml/v4"
)

// Lang is a language of the product.
type Lang string

// The languages of the product.
const (
	Chinese Lang = "zh"
	English Lang = "en"
)

// Langs are all languages, the default first.
var Langs = []Lang{Chinese, English}

// Text is a sentence that is not yet said: its English format and arguments.
type Text struct {
	Format string
	Args   []any
}

// T keeps a sentence until the language of the reader is known.
func T(format string, args ...any) Text { return Text{format, args} }

// String says the text in English, as logs do.
func (t Text) String() string { return English.Say(t.Format, t.Args...) }

// Say says an English format in the language. A sentence that the catalogue lacks is said in English.
func (l Lang) Say(format string, args ...any) string {
	said := make([]any, len(args))
	for i, arg := range args {
		if t, ok := arg.(Text); ok {
			arg = l.Say(t.Format, t.Args...)
		}
		said[i] = arg
	}
	if l == Chinese {
		if zh, ok := chinese()[format]; ok {
			format = zh
		}
	}
	return fmt.Sprintf(format, said...)
}

// Has tells whether the catalogue holds the Chinese of an English format.
func Has(format string) bool { _, ok := chinese()[format]; return ok }

//go:embed zh/*.yaml
var files embed.FS

// chinese is the catalogue. It is read when somebody first says something in Chinese: that takes 10 ms and
// 0.7 MB for good.
var chinese = sync.OnceValue(load)

// load joins the files of the catalogue. A sentence in two files must read the same in both: the catalogue is ours, so
// a difference is a broken build, found by the test of this package.
func load() map[string]string {
	all := map[string]string{}
	names, _ := fs.Glob(files, "zh/*.yaml")
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err == nil {
			err = yaml.Load(data, &all)
		}
		if err != nil {
			panic(fmt.Sprintf("i18n: %s: %v", name, err)) // our own embedded file
		}
	}
	return all
}
