// Package cli has what the command-line programs share: the flags --version, --licenses and --completion, completions
// of other flags, errors and exit statuses, and text that is safe for a terminal.
package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/pqquic/pqquic/cmd/internal/about"
)

// Exit statuses. Each program's help says which failures have which.
const (
	StatusFailed = 1 // the program ran, and its result is a failure
	StatusError  = 2 // an invalid command line, a file that cannot be read, and other errors
)

// A UsageError is an invalid command line, or a file that cannot be read or written.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef returns a UsageError with the text of fmt.Errorf.
func Usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// Printable replaces characters with which a peer's text could control a terminal, and others that are not printed.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// OneLine returns the text of an error, which a peer may have influenced, on one line.
func OneLine(err error) string { return Printable(strings.ReplaceAll(err.Error(), "\n", "; ")) }

// Main runs the root command of a program. If that fails, it prints the error and exits with status(err).
func Main(c *cobra.Command, status func(error) int) {
	if err := c.Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s\n", c.Name(), OneLine(err))
		os.Exit(status(err))
	}
}

// Status returns 0 if there is no error, StatusFailed if the error is or wraps an E, and StatusError for others.
func Status[E error](err error) int {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[E](err); ok {
		return StatusFailed
	}
	return StatusError
}

// New adds to the root command of a program what all programs have, and returns it. Its flags and subcommands must have
// been added. cobra gives a program with subcommands the command completion, and New gives others --completion. Without
// RunE the program prints its help. A Version that is set follows that of the build.
func New(c *cobra.Command) *cobra.Command {
	c.Version = about.Version() + c.Version
	c.SilenceUsage, c.SilenceErrors = true, true
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &UsageError{err} })
	var licenses bool
	var shell string
	c.Flags().BoolVar(&licenses, "licenses", false, "print the licences of this program and of the modules linked into it")
	if !c.HasSubCommands() {
		c.Flags().StringVar(&shell, "completion", "", "print a completion script for `shell`: bash, zsh, fish or powershell")
		Complete(c, "completion", "bash", "zsh", "fish", "powershell")
	}
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case licenses:
			_, err := fmt.Fprint(cmd.OutOrStdout(), about.Licenses())
			return err
		case shell != "":
			return completion(cmd, shell)
		case run == nil:
			return cmd.Help()
		}
		return run(cmd, args)
	}
	return c
}

// Complete makes shells complete the value of a flag with values, and never with names of files.
func Complete(c *cobra.Command, flag string, values ...string) {
	CompleteFunc(c, flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// CompleteFunc makes shells complete the value of a flag with what f returns.
func CompleteFunc(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the program has the flag
	}
}

// completion prints a completion script.
func completion(c *cobra.Command, shell string) error {
	out := c.OutOrStdout()
	switch shell {
	case "bash":
		return c.GenBashCompletionV2(out, true)
	case "zsh":
		return c.GenZshCompletion(out)
	case "fish":
		return c.GenFishCompletion(out, true)
	case "powershell":
		return c.GenPowerShellCompletionWithDesc(out)
	}
	return Usagef("no completion for %q: use bash, zsh, fish or powershell", shell)
}
