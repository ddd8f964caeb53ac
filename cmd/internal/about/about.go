// Package about tells which version of a tool runs, and under which licences it came.
package about

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/pqquic/pqquic"
)

// Version is the version of the main module, or of the commit that it was built from.
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

// Licenses is what has to be shown with a tool's binary: this project's licence and notices, and the
// modules that are linked into it with their licences.
func Licenses() string {
	var b strings.Builder
	b.WriteString(pqquic.Licenses())
	b.WriteString("\n\nGo modules in this program, each under the licence in its root folder:\n\n")
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			fmt.Fprintf(&b, "  %s %s\t%s\n", m.Path, m.Version, licenceOf(m.Path))
		}
	}
	b.WriteString("\nThe Go standard library: BSD-3-Clause.\n")
	return b.String()
}

// licences of the modules that the tools require, by path or its front.
var licences = []struct{ path, name string }{
	{"github.com/pqquic/", "Apache-2.0"},
	{"golang.org/x/", "BSD-3-Clause"},
	{"github.com/gopacket/gopacket", "BSD-3-Clause"},
	{"github.com/spf13/cobra", "Apache-2.0"},
	{"github.com/spf13/pflag", "BSD-3-Clause"},
	{"github.com/inconshreveable/mousetrap", "Apache-2.0"},
	{"github.com/HdrHistogram/hdrhistogram-go", "MIT"},
	{"gonum.org/v1/plot", "BSD-3-Clause"},
	{"github.com/ajstarks/svgo", "CC-BY-4.0"},
	{"github.com/golang/freetype", "FTL or GPL-2.0"},
	{"git.sr.ht/~sbinet/gg", "MIT"},
	{"codeberg.org/go-fonts/liberation", "BSD-3-Clause, fonts: OFL-1.1"},
	{"codeberg.org/go-latex/latex", "BSD-3-Clause"},
	{"codeberg.org/go-pdf/fpdf", "MIT"},
	{"github.com/schollz/progressbar/v3", "MIT"},
	{"github.com/mitchellh/colorstring", "MIT"},
	{"github.com/rivo/uniseg", "MIT"},
	{"github.com/vishvananda/", "Apache-2.0"},
	{"github.com/quic-go/", "MIT"},
}

func licenceOf(path string) string {
	for _, l := range licences {
		if strings.HasPrefix(path+"/", l.path) || strings.HasPrefix(path, l.path) {
			return l.name
		}
	}
	return "see its repository"
}
