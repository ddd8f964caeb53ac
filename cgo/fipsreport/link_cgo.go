//go:build pqquic_report && cgo && linux && amd64

package fipsreport

/*
#cgo CFLAGS: -I${SRCDIR}/../c/include
#include "pqquic_report.h"

static uintptr_t pqq_report_address(void) { return (uintptr_t)pqq_report_reset; }
*/
import "C"

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"sync"

	_ "github.com/pqquic/pqquic/cgo/awslc"     // links the archive
	_ "github.com/pqquic/pqquic/cgo/c/include" // the header, for go mod vendor
)

// Reset forgets what was recorded.
func Reset() { C.pqq_report_reset() }

// Rows returns what was recorded since Reset. It fails if the program has no symbols, or if there were too many rows.
func Rows() ([]Row, error) {
	names, err := load()
	if err != nil {
		return nil, err
	}
	rows := make([]C.pqq_report_row, C.pqq_report_rows(nil, 0)+64)
	n := int(C.pqq_report_rows(&rows[0], C.size_t(len(rows))))
	if lost := uint64(C.pqq_report_lost()); lost > 0 || n > len(rows) {
		return nil, fmt.Errorf("fipsreport: %d calls were not recorded: call Reset more often", lost)
	}
	out := make([]Row, n)
	for i, r := range rows[:n] {
		out[i] = Row{
			Function: C.GoString(r.function), Params: C.GoString(&r.params[0]),
			Approved: uint64(r.approved), Unapproved: uint64(r.unapproved), Failed: uint64(r.failed),
		}
		for _, f := range r.frames {
			if f == 0 {
				break
			}
			if name := names.at(uint64(f) - 1); name != "" { // the call is before the return address
				out[i].Callers = append(out[i].Callers, name)
			}
		}
	}
	return out, nil
}

// symbols are the functions of the program, by address.
type symbols struct {
	syms  []elf.Symbol
	slide uint64 // the difference between an address in the process and in the file
}

// load reads the program's own symbol table: the functions of s2n-tls are local, so dladdr does not find them.
var load = sync.OnceValues(func() (*symbols, error) {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("fipsreport: %w", err)
	}
	defer f.Close()
	all, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("fipsreport: the program has no symbols (go run and -ldflags=-s remove them; use go build): %w", err)
	}
	s := &symbols{syms: slices.DeleteFunc(all, func(s elf.Symbol) bool { return elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Size == 0 })}
	slices.SortFunc(s.syms, func(a, b elf.Symbol) int {
		if a.Value < b.Value {
			return -1
		}
		return 1
	})
	i := slices.IndexFunc(s.syms, func(s elf.Symbol) bool { return s.Name == "pqq_report_reset" })
	if i < 0 {
		return nil, errors.New("fipsreport: the program's symbols lack pqq_report_reset")
	}
	s.slide = uint64(C.pqq_report_address()) - s.syms[i].Value
	return s, nil
})

// at returns the name of the function at an address of the process, or "".
func (s *symbols) at(address uint64) string {
	address -= s.slide
	i, found := slices.BinarySearchFunc(s.syms, address, func(e elf.Symbol, a uint64) int {
		switch {
		case a < e.Value:
			return 1
		case a >= e.Value+e.Size:
			return -1
		}
		return 0
	})
	if !found {
		return ""
	}
	return s.syms[i].Name
}
