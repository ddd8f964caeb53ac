package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pqquic/pqquic/internal/qpack"
)

// A list is a list of fields with the stream that has it.
type list struct {
	stream uint64
	fields []qpack.Field
}

// parseQIF reads the lists of a QIF. Their streams are numbered from 1.
func parseQIF(text []byte) (lists []list, err error) {
	var fields []qpack.Field
	end := func() {
		if fields != nil {
			lists = append(lists, list{uint64(len(lists) + 1), fields})
			fields = nil
		}
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		switch {
		case line == "":
			end()
		case strings.HasPrefix(line, "#"):
		default:
			name, value, ok := strings.Cut(line, "\t")
			if !ok || name == "" {
				return nil, fmt.Errorf("line %d: %q is not a name, a tab and a value", n, line)
			}
			fields = append(fields, qpack.Field{Name: name, Value: value})
		}
	}
	end()
	if len(lists) == 0 {
		return nil, errors.New("there are no fields in it")
	}
	return lists, nil
}

// formatQIF writes lists as QIF, with the number of its stream before each.
func formatQIF(lists []list) string {
	var b strings.Builder
	for _, l := range lists {
		fmt.Fprintf(&b, "# stream %d\n", l.stream)
		for _, f := range l.fields {
			b.WriteString(f.Name + "\t" + f.Value + "\n")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
