// Package about reports the version of a tool and the licences of its parts.
package about

import (
	_ "embed"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/pqquic/pqquic"
)

// Version returns the version of the main module, or of the commit that it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	if version == "" || version == "(devel)" {
		version = "development"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += " " + s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return fmt.Sprintf("%s (%s %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// notices holds the licences of the modules that the tools link; scripts/notices-cmd writes it.
//
//go:embed notices.txt
var notices string

const noticeMark = "\n==== "

// Licenses returns the texts that must accompany a tool's binary: this project's licence and notices, and
// the licences of the linked modules.
func Licenses() string {
	var b strings.Builder
	b.WriteString(pqquic.Licenses())
	texts := make(map[string]string)
	for _, n := range strings.Split(notices, noticeMark)[1:] {
		path, text, _ := strings.Cut(n, "\n")
		texts[path] = text
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.String() + notices
	}
	for _, m := range info.Deps {
		if strings.HasPrefix(m.Path, "github.com/pqquic/") {
			continue
		}
		text := texts[m.Path]
		if text == "" {
			text = "\nUnder the licence in its repository.\n"
		}
		fmt.Fprintf(&b, "%s%s %s\n%s", noticeMark, m.Path, m.Version, text)
	}
	b.WriteString(noticeMark + "The Go standard library\n" + texts["std"])
	return b.String()
}
