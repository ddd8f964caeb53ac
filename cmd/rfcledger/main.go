// Command rfcledger lists the normative sentences of RFCs with the code and the tests that quote them, or the reason
// why none does. It reads the texts from the folder RFC_DIR, which must contain rfcNNNN.txt as the RFC Editor
// publishes them, or rfcNNNN-source.md, the source of the authors. With -out it writes docs/conformance.md and a page for
// each RFC: make ledger RFC_DIR=…
//
// With -open it prints only the MUST sentences that have neither a test nor a reason. With -draw it prints MUST sentences
// that were drawn at random, with the places of the code and of the tests: see docs/conformance-checks.md.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// options are the command's flags.
type options struct {
	root, reasons, out string
	rfcs               []string
	open               bool
	draw               int
	seed               uint64
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "the repository")
	flag.StringVar(&o.reasons, "reasons", "", "a file of reasons: lines of the form rfc9000|7.2|beginning of the sentence|reason")
	names := flag.String("rfcs", "rfc9000,rfc9001,rfc9002,rfc9221,rfc9114,rfc9204,rfc9218,rfc9297", "the RFCs, separated by commas")
	flag.StringVar(&o.out, "out", "", "write conformance.md and conformance/rfcNNNN.md to this folder")
	flag.BoolVar(&o.open, "open", false, "print only the MUST sentences that have neither a test nor a reason")
	flag.IntVar(&o.draw, "draw", 0, "print this many MUST sentences with code and tests, drawn at random")
	flag.Uint64Var(&o.seed, "seed", 1, "the seed of -draw")
	flag.Parse()
	o.rfcs = strings.Split(*names, ",")
	if err := run(os.Stdout, &o); err != nil {
		fmt.Fprintln(os.Stderr, "rfcledger:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, o *options) error {
	all, faults, err := readAll(o)
	if err != nil {
		return err
	}
	switch {
	case o.open:
		writeOpen(w, all)
	case o.draw > 0:
		writeDraw(w, drawRows(all, o.draw, o.seed))
	case o.out != "":
		if err := writePages(o.out, all); err != nil {
			return err
		}
	default:
		writeIndex(w, all)
	}
	if faults != nil {
		return errors.New(strings.Join(faults, "\n"))
	}
	return nil
}

// readAll returns the sentences of each RFC, and the faults of quotations and reasons.
func readAll(o *options) (all [][]row, faults []string, err error) {
	dir := os.Getenv("RFC_DIR")
	if dir == "" {
		return nil, nil, errors.New("RFC_DIR is not set: name the folder that contains rfc9000.txt and the others")
	}
	quotes, err := findQuotations(o.root)
	if err != nil {
		return nil, nil, err
	}
	why, err := readReasons(o.reasons)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range o.rfcs {
		text, err := rfcText(dir, name)
		if err != nil {
			return nil, nil, err
		}
		d, err := readDocument(name, bytes.NewReader(text))
		if err != nil {
			return nil, nil, err
		}
		rows, bad := newRows(d, quotes)
		faults = append(faults, bad...)
		all = append(all, rows)
		for _, r := range why {
			if r.rfc == name && !r.apply(rows) {
				faults = append(faults, fmt.Sprintf("%s:%d: %s, section %s has no sentence that begins with %q", o.reasons, r.line, r.rfc, r.section, r.begin))
			}
		}
	}
	return all, faults, nil
}

// rfcText returns the text of an RFC in the format of rfcNNNN.txt.
func rfcText(dir, name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, name+".txt"))
	if !errors.Is(err, os.ErrNotExist) {
		return text, err
	}
	source, errSource := os.ReadFile(filepath.Join(dir, name+"-source.md"))
	if errSource != nil {
		return nil, err
	}
	return plainText(source), nil
}

// A reason explains why no code and no test quotes a sentence, or why no test does.
type reason struct {
	rfc, section, begin, why string
	line                     int
}

func readReasons(path string) (all []reason, err error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		text := in.Text()
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		p := strings.Split(text, "|")
		if len(p) != 4 || p[3] == "" {
			return nil, fmt.Errorf("%s:%d: want rfc|section|beginning of the sentence|reason, have %q", path, n, text)
		}
		all = append(all, reason{p[0], p[1], p[2], p[3], n})
	}
	return all, in.Err()
}

// apply sets the reason of the sentences that it describes. It reports whether there are any.
func (r *reason) apply(rows []row) (found bool) {
	for i := range rows {
		if rows[i].section == r.section && strings.HasPrefix(rows[i].text, r.begin) {
			rows[i].reason, found = r.why, true
		}
	}
	return found
}
