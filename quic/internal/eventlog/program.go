package eventlog

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
)

// AppendFields appends the fields of a program's event as JSON, separated by commas, which core.TraceProgram takes. It may
// call code of the program.
func AppendFields(b []byte, fields []slog.Attr) []byte {
	e := encoder{b}
	e.fields(fields)
	return e.b
}

func (e *encoder) fields(fields []slog.Attr) {
	for _, a := range fields {
		e.field(a.Key, a.Value.Resolve())
	}
}

// field writes a field. A group without a key is a part of what contains it, as in package slog.
func (e *encoder) field(key string, v slog.Value) {
	group := v.Kind() == slog.KindGroup
	if key == "" {
		if group {
			e.fields(v.Group())
		}
		return
	}
	e.comma()
	e.quote(key)
	e.b = append(e.b, ':')
	if group {
		e.object(v.Group())
		return
	}
	e.value(v)
}

func (e *encoder) object(fields []slog.Attr) {
	e.b = append(e.b, '{')
	e.fields(fields)
	e.end('}')
}

// value writes a value that is not a group.
func (e *encoder) value(v slog.Value) {
	switch v.Kind() {
	case slog.KindBool:
		e.b = strconv.AppendBool(e.b, v.Bool())
	case slog.KindInt64:
		if n := v.Int64(); n < 0 {
			e.b = strconv.AppendInt(e.b, n, 10)
		} else {
			e.number(uint64(n))
		}
	case slog.KindUint64:
		e.number(v.Uint64())
	case slog.KindFloat64:
		e.float(v.Float64())
	case slog.KindDuration:
		e.float(float64(v.Duration()) / float64(time.Millisecond))
	case slog.KindAny:
		e.any(v.Any())
	default:
		e.quote(v.String())
	}
}

// any writes bytes in hexadecimal, lists as arrays, groups in lists as objects, and anything else as text.
func (e *encoder) any(v any) {
	switch v := v.(type) {
	case []byte:
		e.quote(fmt.Sprintf("%x", v))
	case []string:
		e.b = append(e.b, '[')
		for _, s := range v {
			e.comma()
			e.quote(s)
		}
		e.end(']')
	case [][]slog.Attr:
		e.b = append(e.b, '[')
		for _, fields := range v {
			e.comma()
			e.object(fields)
		}
		e.end(']')
	default:
		e.quote(fmt.Sprint(v))
	}
}

// float writes a number, or text if JSON has no number for it.
func (e *encoder) float(f float64) {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		e.quote(strconv.FormatFloat(f, 'g', -1, 64))
		return
	}
	e.b = strconv.AppendFloat(e.b, f, 'f', -1, 64)
}

// program writes an event of the program.
func (l *Log) program(e *core.TraceEvent) {
	l.b = append(l.b[:0], recordSeparator, '{')
	l.ms("time", l.now.Sub(l.start))
	l.text("name", e.Name)
	l.begin("data", '{')
	l.b = append(l.b, e.Fields...)
	l.finish()
}
