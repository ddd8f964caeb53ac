// Command qif encodes and decodes lists of HTTP fields with QPACK (RFC 9204), in the files of the QPACK offline
// interoperability tests.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/cli"
)

// A fileError concerns a file that the command line names.
type fileError struct {
	name string
	err  error
}

func (e *fileError) Error() string { return e.name + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

func main() { cli.Main(newCommand(), cli.Status[*fileError]) }

func newCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "qif",
		Short: "Encode and decode HTTP fields with QPACK",
		Long: `qif encodes and decodes the files of the QPACK offline interoperability tests. A QIF is a text: a line
for each field, with a tab between name and value, and an empty line after each list of fields. Lines that begin with # are comments.
An encoded file has blocks of a stream ID (8 bytes), a length (4 bytes) and data. Stream 0 is the encoder stream, and each
other stream has one list of fields.

Exit status: 0; 1 for a bad file; 2 for an invalid command line.`,
		Example: `  qif encode requests.qif requests.out 4096 100 1
  qif decode requests.out 4096 100 >decoded.qif`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(encodeCommand(), decodeCommand())
	return cli.New(c)
}

func encodeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "encode FILE.qif OUT TABLE_SIZE MAX_BLOCKED ACK",
		Short: "Encode the lists of a QIF",
		Long: `encode encodes each list of FILE.qif as a field section on a stream of its own, and writes them and the encoder
stream to OUT. TABLE_SIZE and MAX_BLOCKED are the decoder's settings: the largest capacity of the dynamic table in bytes, and the
number of streams that may be blocked. ACK is 1 if the decoder acknowledges each section at once, and 0 if it acknowledges none.`,
		Args:              cobra.ExactArgs(5),
		ValidArgsFunction: completeFiles(2),
		RunE: func(_ *cobra.Command, args []string) error {
			size, blocked, err := settings(args[2:4])
			if err != nil {
				return err
			}
			isAcked := args[4] == "1"
			if !isAcked && args[4] != "0" {
				return fmt.Errorf("ACK is %q: it must be 0 or 1", args[4])
			}
			text, err := os.ReadFile(args[0])
			if err != nil {
				return &fileError{args[0], plain(err)}
			}
			lists, err := parseQIF(text)
			if err != nil {
				return &fileError{args[0], err}
			}
			out, err := encode(lists, size, blocked, isAcked)
			if err != nil {
				return &fileError{args[0], err}
			}
			if err := os.WriteFile(args[1], out, 0o666); err != nil {
				return &fileError{args[1], plain(err)}
			}
			return nil
		},
	}
}

func decodeCommand() *cobra.Command {
	var isStrict bool
	c := &cobra.Command{
		Use:   "decode FILE TABLE_SIZE MAX_BLOCKED",
		Short: "Decode a file and print it as QIF",
		Long: `decode decodes FILE with the settings TABLE_SIZE and MAX_BLOCKED, and prints the lists as QIF, in the order of
their streams.

The dynamic table has the capacity TABLE_SIZE from the start, as in draft-ietf-quic-qpack-05, whose format the published
files of the interoperability tests have. With --strict it has none until the file sets it, as RFC 9204 says.`,
		Args:              cobra.ExactArgs(3),
		ValidArgsFunction: completeFiles(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			size, blocked, err := settings(args[1:])
			if err != nil {
				return err
			}
			b, err := os.ReadFile(args[0])
			if err != nil {
				return &fileError{args[0], plain(err)}
			}
			lists, err := decode(b, size, blocked, isStrict)
			if err != nil {
				return &fileError{args[0], err}
			}
			_, err = io.WriteString(cmd.OutOrStdout(), formatQIF(lists))
			return err
		},
	}
	c.Flags().BoolVar(&isStrict, "strict", false, "begin with a capacity of 0, as RFC 9204 says")
	return c
}

// completeFiles completes the first n arguments as names of files.
func completeFiles(n int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) < n {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// settings parses TABLE_SIZE and MAX_BLOCKED.
func settings(args []string) (size, blocked int, err error) {
	var v [2]int
	for i, name := range []string{"TABLE_SIZE", "MAX_BLOCKED"} {
		n, err := strconv.ParseUint(args[i], 10, 30)
		if err != nil {
			return 0, 0, fmt.Errorf("%s is %q: it must be a number from 0 to 1073741823", name, args[i])
		}
		v[i] = int(n)
	}
	return v[0], v[1], nil
}

// plain removes the name of the file from an error of package os, as fileError has it.
func plain(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
