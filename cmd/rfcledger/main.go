// Command rfcledger lists the normative sentences of RFCs with the code and the tests that quote them, or the reason
// why none does. It reads the texts from the folder RFC_DIR, which must contain rfcNNNN.txt as the RFC Editor
// publishes them, and writes Markdown to standard output. docs/conformance.md is its output: make ledger RFC_DIR=…
//
// With -open it prints only the MUST sentences that have neither.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	root := flag.String("root", ".", "the repository")
	reasons := flag.String("reasons", "", "a file of reasons: lines of the form rfc9000|7.2|beginning of the sentence|reason")
	names := flag.String("rfcs", "rfc9000,rfc9001,rfc9002,rfc9221", "the RFCs, separated by commas")
	onlyOpen := flag.Bool("open", false, "print only the MUST sentences that nothing quotes")
	flag.Parse()
	if err := run(os.Stdout, *root, *reasons, strings.Split(*names, ","), *onlyOpen); err != nil {
		fmt.Fprintln(os.Stderr, "rfcledger:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, root, reasons string, names []string, onlyOpen bool) error {
	dir := os.Getenv("RFC_DIR")
	if dir == "" {
		return errors.New("RFC_DIR is not set: name the folder that contains rfc9000.txt and the others")
	}
	quotes, err := findQuotations(root)
	if err != nil {
		return err
	}
	why, err := readReasons(reasons)
	if err != nil {
		return err
	}
	var all [][]row
	var faults []string
	for _, name := range names {
		f, err := os.Open(filepath.Join(dir, name+".txt"))
		if err != nil {
			return err
		}
		d, err := readDocument(name, f)
		f.Close()
		if err != nil {
			return err
		}
		rows, bad := newRows(d, quotes)
		faults = append(faults, bad...)
		all = append(all, rows)
		for _, r := range why {
			if r.rfc == name && !r.apply(rows) {
				faults = append(faults, fmt.Sprintf("%s:%d: %s, section %s has no sentence that begins with %q", reasons, r.line, r.rfc, r.section, r.begin))
			}
		}
	}
	if onlyOpen {
		writeOpen(w, all)
	} else {
		writeLedger(w, all)
	}
	if faults != nil {
		return errors.New(strings.Join(faults, "\n"))
	}
	return nil
}

// A reason explains why no code and no test quotes a sentence.
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
