package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/qpack"
)

var update = flag.Bool("update", false, "write the encoded samples in testdata")

// The test binary acts as the program if an environment variable is set.
func TestMain(m *testing.M) {
	if os.Getenv("QIF_TEST_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// qif runs the program and returns its output and exit status.
func qif(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "QIF_TEST_MAIN=1")
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// equalLists compares fields. The streams may be numbered otherwise.
func equalLists(t *testing.T, want, got []list, msg string) {
	t.Helper()
	require.Len(t, got, len(want), msg)
	for i := range want {
		require.Len(t, got[i].fields, len(want[i].fields), msg)
		for j, f := range want[i].fields {
			g := got[i].fields[j]
			if f.Name != g.Name || f.Value != g.Value {
				t.Fatalf("%s: list %d, field %d: %q: %q, want %q: %q", msg, i, j, g.Name, g.Value, f.Name, f.Value)
			}
		}
	}
}

// modes are the arguments of the samples.
var modes = []struct {
	size, blocked int
	isAcked       bool
}{{0, 0, false}, {256, 0, true}, {512, 100, true}, {4096, 0, false}, {4096, 0, true}, {4096, 2, false}, {4096, 100, true}}

func ackArg(isAcked bool) string {
	if isAcked {
		return "1"
	}
	return "0"
}

// TestSample encodes and decodes with the program. The encoded files in testdata are those that it wrote when they were
// checked in.
func TestSample(t *testing.T) {
	sample := filepath.Join("testdata", "sample.qif")
	text, err := os.ReadFile(sample)
	require.NoError(t, err)
	want, err := parseQIF(text)
	require.NoError(t, err)
	sizes := make(map[string]int)
	for _, m := range modes {
		size, blocked, ack := strconv.Itoa(m.size), strconv.Itoa(m.blocked), ackArg(m.isAcked)
		name := strings.Join([]string{"sample.out", size, blocked, ack}, ".")
		golden, out := filepath.Join("testdata", name), filepath.Join(t.TempDir(), name)
		if *update {
			out = golden
		}
		_, stderr, status := qif(t, "encode", sample, out, size, blocked, ack)
		require.Zero(t, status, stderr)
		encoded, err := os.ReadFile(out)
		require.NoError(t, err)
		before, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, before, encoded, "%s: run go test -update if the encoder changed on purpose", name)
		sizes[name] = len(encoded)

		stdout, stderr, status := qif(t, "decode", "--strict", out, size, blocked)
		require.Zero(t, status, stderr)
		got, err := parseQIF([]byte(stdout))
		require.NoError(t, err)
		equalLists(t, want, got, name)
		require.Contains(t, stdout, "# stream 1\n:method\tGET\n")
	}
	require.Less(t, sizes["sample.out.4096.100.1"], sizes["sample.out.0.0.0"])
}

// TestBadFiles checks the exit status and that the message is one line.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, contents string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(contents), 0o600))
		return path
	}
	header := "\x00\x00\x00\x00\x00\x00\x00"
	missing := filepath.Join(dir, "missing")
	for _, c := range []struct {
		args   []string
		status int
		text   string
	}{
		{[]string{"decode", missing, "0", "0"}, 1, missing + ": no such file"},
		{[]string{"decode", write("short", header+"\x01\x00\x00\x00"), "0", "0"}, 1, "block 1 is truncated"},
		{[]string{"decode", write("length", header+"\x01\xff\xff\xff\xff\x00"), "0", "0"}, 1, "1 of its 4294967295 bytes are left"},
		{[]string{"decode", write("index", header+"\x01\x00\x00\x00\x04\x00\x00\xff\x24"), "0", "0"}, 1, "block 1, stream 1: qpack: the static table has no entry 99"},
		{[]string{"decode", write("waits", header+"\x01\x00\x00\x00\x03\x02\x00\x80"), "256", "1"}, 1, "stream 1 waits"},
		{[]string{"decode", filepath.Join(dir, "waits"), "256", "0"}, 1, "the limit is 0"},
		{[]string{"decode", write("twice", strings.Repeat(header+"\x01\x00\x00\x00\x03\x02\x00\x80", 2)), "256", "2"}, 1, "a second section"},
		{[]string{"decode", write("unblocked", header+"\x01\x00\x00\x00\x03\x02\x00\x81"+header+"\x00\x00\x00\x00\x02\xc0\x00"), "256", "1"}, 1,
			"the section of stream 1: qpack: the relative index 1"},
		{[]string{"decode", write("draft", header+"\x00\x00\x00\x00\x02\xc0\x00"), "256", "1"}, 0, ""},
		{[]string{"decode", "--strict", filepath.Join(dir, "draft"), "256", "1"}, 1, "larger than the capacity, 0"},
		{[]string{"encode", missing, filepath.Join(dir, "out"), "0", "0", "0"}, 1, missing + ": no such file"},
		{[]string{"encode", write("empty", "# nothing\n"), filepath.Join(dir, "out"), "0", "0", "0"}, 1, "no fields"},
		{[]string{"encode", write("notab", "a\tb\nc\n"), filepath.Join(dir, "out"), "0", "0", "0"}, 1, `line 2: "c" is not a name, a tab and a value`},
		{[]string{"encode", filepath.Join("testdata", "sample.qif"), filepath.Join(missing, "out"), "0", "0", "0"}, 1, "no such file"},
		{[]string{"decode", filepath.Join(dir, "draft")}, 2, "accepts 3 arg"},
		{[]string{"decode", filepath.Join(dir, "draft"), "-1", "0"}, 2, "unknown shorthand flag"},
		{[]string{"decode", filepath.Join(dir, "draft"), "x", "0"}, 2, `TABLE_SIZE is "x"`},
		{[]string{"encode", filepath.Join("testdata", "sample.qif"), missing, "0", "0", "2"}, 2, `ACK is "2"`},
	} {
		_, stderr, status := qif(t, c.args...)
		require.Equal(t, c.status, status, "%v: %s", c.args, stderr)
		require.Contains(t, stderr, c.text)
		require.LessOrEqual(t, strings.Count(stderr, "\n"), 1, stderr)
	}
}

func TestHelpAndLicenses(t *testing.T) {
	stdout, _, status := qif(t, "--help")
	require.Zero(t, status)
	require.Contains(t, stdout, "qif decode requests.out 4096 100")
	stdout, _, status = qif(t, "--licenses")
	require.Zero(t, status)
	require.Contains(t, stdout, "Apache")
	_, _, status = qif(t, "--version")
	require.Zero(t, status)
}

// published returns the folder of a checkout of https://github.com/qpackers/qifs, without which a test is skipped.
func published(t *testing.T) string {
	dir := os.Getenv("QIFS_DIR")
	if dir == "" {
		t.Skip("NOT CHECKED: the published files of the QPACK interoperability tests: set QIFS_DIR to a checkout of github.com/qpackers/qifs")
	}
	return dir
}

func readQIFs(t *testing.T, dir string) map[string][]list {
	paths, err := filepath.Glob(filepath.Join(dir, "qifs", "*.qif"))
	require.NoError(t, err)
	require.NotEmpty(t, paths, "QIFS_DIR has no folder qifs with *.qif in it")
	all := make(map[string][]list)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		lists, err := parseQIF(text)
		require.NoError(t, err, path)
		all[strings.TrimSuffix(filepath.Base(path), ".qif")] = lists
	}
	return all
}

// TestPublishedLists encodes and decodes the published lists with several settings.
func TestPublishedLists(t *testing.T) {
	for name, want := range readQIFs(t, published(t)) {
		for _, size := range []int{0, 31, 64, 256, 512, 4096, 65536} {
			for _, blocked := range []int{0, 1, 100} {
				for _, isAcked := range []bool{false, true} {
					msg := fmt.Sprintf("%s.%d.%d.%v", name, size, blocked, isAcked)
					out, err := encode(want, size, blocked, isAcked)
					require.NoError(t, err, msg)
					got, err := decode(out, size, blocked, true)
					require.NoError(t, err, msg)
					equalLists(t, want, got, msg)
				}
			}
		}
	}
}

// TestPublishedEncodings decodes what the encoders of others made of the published lists. Their format is that of
// draft-ietf-quic-qpack-05, which differs from RFC 9204 in the initial capacity of the table only: see docs/qpack.md.
func TestPublishedEncodings(t *testing.T) {
	dir := published(t)
	lists := readQIFs(t, dir)
	decoded, withoutCapacity := 0, 0
	for _, encoder := range []string{"ls-qpack", "nghttp3"} {
		paths, err := filepath.Glob(filepath.Join(dir, "encoded", "qpack-05", encoder, "*.out.*"))
		require.NoError(t, err)
		require.NotEmpty(t, paths)
		for _, path := range paths {
			parts := strings.Split(filepath.Base(path), ".") // NAME.out.SIZE.BLOCKED.ACK
			require.Len(t, parts, 5)
			size, err := strconv.Atoi(parts[2])
			require.NoError(t, err)
			blocked, err := strconv.Atoi(parts[3])
			require.NoError(t, err)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			got, err := decode(b, size, blocked, false)
			require.NoError(t, err, path)
			require.Contains(t, lists, parts[0])
			equalLists(t, lists[parts[0]], got, path)
			decoded++
			if _, err := decode(b, size, blocked, true); err != nil {
				require.ErrorContains(t, err, "larger than the capacity, 0")
				withoutCapacity++
			}
		}
	}
	t.Logf("%d files decoded, of which %d insert without setting a capacity", decoded, withoutCapacity)

	// The examples of the draft are those of appendix B of the RFC.
	b, err := os.ReadFile(filepath.Join(dir, "encoded", "qpack-05", "examples", "examples.out.220.100.1"))
	require.NoError(t, err)
	got, err := decode(b, 220, 100, true)
	require.NoError(t, err)
	require.Equal(t, "# stream 4\n:path\t/index.html\n\n# stream 8\n:authority\twww.example.com\n:path\t/sample/path\n\n"+
		"# stream 12\n:authority\twww.example.com\n:path\t/\ncustom-key\tcustom-value\n\n", formatQIF(got))
}

// TestPublishedErrors checks that the published invalid files are refused. Two of them reference entries that the static
// table did not have when they were made, but that RFC 9204 has.
func TestPublishedErrors(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(published(t), "encoded", "errors", "err*"))
	require.NoError(t, err)
	require.Len(t, paths, 12)
	valid := map[string]qpack.Field{"err9": {Name: ":authority"}, "err10": {Name: "x-xss-protection", Value: "1; mode=block"}}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, size := range []int{0, 4096} {
			lists, err := decode(b, size, 100, false)
			if f, ok := valid[filepath.Base(path)]; ok {
				require.NoError(t, err, path)
				require.Equal(t, []list{{1, []qpack.Field{f}}}, lists, path)
				continue
			}
			var e *qpack.Error
			require.ErrorAs(t, err, &e, path)
			want := uint64(qpack.DecompressionFailed)
			if strings.HasPrefix(string(b), "\x00\x00\x00\x00\x00\x00\x00\x00") {
				want = qpack.EncoderStreamError
			}
			require.Equal(t, want, e.Code, path)
		}
	}
}
