package report

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// ReadFile reads a statistics file.
func ReadFile(name string) (Input, error) {
	f, err := os.Open(name)
	if err != nil {
		return Input{}, err
	}
	defer f.Close()
	run, err := stats.Read(f)
	if err != nil {
		return Input{}, fmt.Errorf("%s: %w", name, err)
	}
	return Input{Name: name, Run: run}, nil
}

// ReadFiles reads several files. The error names the file that cannot be read.
func ReadFiles(names []string) ([]Input, error) {
	var inputs []Input
	for _, name := range names {
		in, err := ReadFile(name)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

// WriteTree makes pages from the folder that s2n-netbench's script writes: in/SCENARIO/DRIVER/*.json. It
// writes out/SCENARIO/index.html, with clients and servers on one page, and out/index.html with links to
// them. It returns the files that it wrote and those that it skipped because they are not statistics.
func WriteTree(in, out, version string) (written, skipped []string, err error) {
	scenarios, err := os.ReadDir(in)
	if err != nil {
		return nil, nil, err
	}
	var entries []treeEntry
	for _, dir := range scenarios {
		if !dir.IsDir() {
			continue
		}
		inputs, bad, err := readTree(filepath.Join(in, dir.Name()))
		skipped = append(skipped, bad...)
		if err != nil {
			return written, skipped, err
		}
		if len(inputs) == 0 {
			continue
		}
		file := filepath.Join(out, dir.Name(), "index.html")
		var page bytes.Buffer
		if err := WritePage(&page, inputs, version); err != nil {
			return written, skipped, err
		}
		if err := write(file, page.Bytes()); err != nil {
			return written, skipped, err
		}
		written = append(written, file)
		entries = append(entries, treeEntry{dir.Name(), len(inputs)})
	}
	if len(entries) == 0 {
		return nil, skipped, errors.New("no statistics files in " + in + ": SCENARIO/DRIVER/*.json is empty")
	}
	var index bytes.Buffer
	if err := indexTemplate.Execute(&index, struct {
		Style   template.CSS
		Policy  string
		Entries []treeEntry
		Version string
	}{template.CSS(Style), fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'", hash(Style)), entries, version}); err != nil {
		return written, skipped, err
	}
	file := filepath.Join(out, "index.html")
	return append(written, file), skipped, write(file, index.Bytes())
}

// readTree reads all files below a scenario's folder.
func readTree(dir string) (inputs []Input, skipped []string, err error) {
	err = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".json" {
			return err
		}
		in, err := ReadFile(name)
		if err != nil {
			skipped = append(skipped, err.Error())
			return nil
		}
		// s2n-netbench's drivers do not report their role, but the file's name contains it.
		if h := &in.Run.Header; h.Role == "" && in.Run.FromS2N {
			for _, role := range []string{"client", "server"} {
				if strings.Contains(filepath.Base(name), role) {
					h.Role = role
				}
			}
		}
		inputs = append(inputs, in)
		return nil
	})
	slices.SortStableFunc(inputs, func(a, b Input) int { return strings.Compare(a.Run.Header.Role, b.Run.Header.Role) })
	return inputs, skipped, err
}

func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// A treeEntry is a scenario in the index.
type treeEntry struct {
	Name string
	Runs int
}

// Link is relative, so that the folder can be moved and opened without a server.
func (e treeEntry) Link() string { return "./" + url.PathEscape(e.Name) + "/index.html" }

var indexTemplate = template.Must(template.New("index").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{.Policy}}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>netbench reports</title>
<style>{{.Style}}</style>
</head>
<body>
<header><p class="kicker">netbench reports</p><h1>Scenarios</h1></header>
<main><ul>{{range .Entries}}<li><a href="{{.Link}}">{{.Name}}</a>, {{.Runs}} run{{if ne .Runs 1}}s{{end}}</li>
{{end}}</ul></main>
<footer>Written by netbench {{.Version}}.</footer>
</body>
</html>
`))
