package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

type failure struct{}

func (*failure) Error() string { return "failure" }

func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{&failure{}, StatusFailed},
		{fmt.Errorf("2 of 3: %w", &failure{}), StatusFailed},
		{errors.Join(errors.New("unreachable"), &failure{}), StatusFailed},
		{errors.New("unreachable"), StatusError},
		{Usagef("--x: %w", errors.New("invalid")), StatusError},
	} {
		require.Equal(t, tt.want, Status[*failure](tt.err), "%v", tt.err)
	}
}

func TestOneLine(t *testing.T) {
	err := errors.Join(errors.New("a\x1b[31m\u009b2J"), errors.New("b\u202e \"ü\"\r\xff"))
	require.Equal(t, "a\uFFFD[31m\uFFFD2J; b\uFFFD \"ü\"\uFFFD\uFFFD", OneLine(err))
}

// TestNew checks the flags of a program with subcommands and of one without.
func TestNew(t *testing.T) {
	for _, hasSubcommand := range []bool{false, true} {
		run := func(args ...string) (string, error) {
			c := &cobra.Command{Use: "program", Short: "What it does", Version: " with a note", Args: cobra.NoArgs}
			sub := &cobra.Command{Use: "sub", RunE: func(*cobra.Command, []string) error { return &failure{} }}
			if hasSubcommand {
				c.AddCommand(sub)
			} else {
				c.RunE = sub.RunE
			}
			var out bytes.Buffer
			New(c).SetOut(&out)
			c.SetErr(&out)
			c.SetArgs(args)
			err := c.Execute()
			return out.String(), err
		}
		out, err := run("--version")
		require.NoError(t, err)
		require.Regexp(t, `^program version .+ with a note\n$`, out)
		out, err = run("--licenses")
		require.NoError(t, err)
		require.Contains(t, out, "==== The Go standard library")

		begin := []string{"--completion"}
		if hasSubcommand {
			begin = []string{"completion"}
			out, err = run()
			require.NoError(t, err)
			require.Contains(t, out, "What it does", "the help")
			_, err = run("sub", "--nonsense")
			require.ErrorAs(t, err, new(*UsageError))
			_, err = run("sub")
		} else {
			_, err = run("--completion", "tcsh")
			require.ErrorAs(t, err, new(*UsageError))
			require.ErrorContains(t, err, `"tcsh": use bash, zsh, fish or powershell`)
			_, err = run()
		}
		require.ErrorAs(t, err, new(*failure))
		for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
			out, err = run(append(begin, shell)...)
			require.NoError(t, err)
			require.Contains(t, out, "program")
		}
		out, err = run("--nonsense")
		require.ErrorAs(t, err, new(*UsageError))
		require.Empty(t, out, "the caller prints the error")
	}
}
