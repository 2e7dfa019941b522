package gateway

import (
	_ "embed"
	"io/fs"

	"embergate/drivers/conf"
)

//go:embed specimen.yaml
var specimen []byte

// Schema is the JSON schema of a configuration, for editors, and what of it is not known to the readers.
func Schema(o Options) (schema map[string]any, unread []string, err error) {
	nothing := conf.Environment{
		Variable: func(string) (string, bool) { return "", false },
		ReadFile: func(path string) ([]byte, error) { return nil, fs.ErrNotExist },
	}
	root := conf.Parse("specimen.yaml", specimen, nothing)
	watched := root.Watch()
	if _, err := New(root, o); err != nil {
		return nil, nil, err
	}
	schema, unread = watched.Schema()
	schema["title"] = "Embergate " + o.Version
	return schema, unread, nil
}
