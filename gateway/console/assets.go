package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"

	"embergate/drivers/i18n"
)

//go:embed templates assets openapi.json
var files embed.FS

// assets are the files that pages load, by a name that holds a hash of their content, so that a browser may keep them
// for ever and never shows an old one.
type assets struct {
	byName map[string]asset  // console.1a2b3c4d.css
	names  map[string]string // console.css: console.1a2b3c4d.css
	all    string            // changes with any of our embedded files, so that an open page notices that it is an old one
}

type asset struct {
	contentType string
	plain, gzip []byte
}

// contentTypes are set here, because the table of the mime package depends on the machine.
var contentTypes = map[string]string{
	".css":         "text/css; charset=utf-8",
	".png":         "image/png",
	".js":          "text/javascript; charset=utf-8",
	".svg":         "image/svg+xml",
	".webmanifest": "application/manifest+json",
}

func loadAssets(p *press) assets {
	a := assets{byName: map[string]asset{}, names: map[string]string{}}
	all := sha256.New()
	naming := map[string][]byte{} // files that name others
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(name)
		all.Write(data)
		switch base := path.Base(name); {
		case path.Dir(name) != "assets":
		case base == "sw.js" || path.Ext(base) == ".webmanifest":
			naming[base] = data
		default:
			a.add(base, data, p)
		}
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("console: %v", err)) // our own embedded files
	}
	a.all = hex.EncodeToString(all.Sum(nil)[:8])
	for base, data := range naming {
		for name := range a.names {
			for _, quote := range []string{`"`, `'`} {
				data = bytes.ReplaceAll(data, []byte(quote+name+quote), []byte(quote+"/assets/"+a.names[name]+quote))
			}
		}
		a.add(base, bytes.ReplaceAll(data, []byte("VERSION"), []byte(a.all)), p)
	}
	return a
}

// add takes in a file.
func (a assets) add(base string, data []byte, p *press) {
	ext := path.Ext(base)
	sum := sha256.Sum256(data)
	name := strings.TrimSuffix(base, ext) + "." + hex.EncodeToString(sum[:4]) + ext
	a.names[base] = name
	a.byName[name] = asset{contentTypes[ext], data, p.gzip(data)}
}

// url is where pages find an asset.
func (a assets) url(base string) (string, error) {
	name, ok := a.names[base]
	if !ok {
		return "", fmt.Errorf("no asset %s", base)
	}
	return "/assets/" + name, nil
}

func (w *web) asset(rw http.ResponseWriter, r *http.Request) {
	a, ok := w.assets.byName[r.PathValue("name")]
	if !ok {
		w.problem(rw, r, http.StatusNotFound, i18n.T("there is nothing at %s", r.URL.Path))
		return
	}
	rw.Header().Set("Content-Type", a.contentType)
	rw.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	send(rw, r, http.StatusOK, a.plain, a.gzip)
}

// send writes a body, compressed for whoever takes it so.
func send(rw http.ResponseWriter, r *http.Request, status int, plain, gzipped []byte) {
	rw.Header().Add("Vary", "Accept-Encoding")
	if !takesGzip(r.Header.Get("Accept-Encoding")) {
		rw.WriteHeader(status)
		rw.Write(plain)
		return
	}
	rw.Header().Set("Content-Encoding", "gzip")
	rw.WriteHeader(status)
	rw.Write(gzipped)
}

func takesGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err == nil && coding == "gzip" {
			return strings.Trim(params["q"], "0.") != "" || params["q"] == ""
		}
	}
	return false
}

// press compresses, and keeps what that needs for the next time: a megabyte each.
type press struct{ free sync.Pool }

func (p *press) gzip(data []byte) []byte {
	var b bytes.Buffer
	z, ok := p.free.Get().(*gzip.Writer)
	if !ok {
		z = gzip.NewWriter(nil)
	}
	z.Reset(&b)
	z.Write(data) // to memory: cannot fail
	z.Close()
	p.free.Put(z)
	return b.Bytes()
}
