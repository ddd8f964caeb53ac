package demo

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// A keyLog writes to the file that SSLKEYLOGFILE names. It prints a notice once that secrets are written:
// in Say, or before the first secret is written.
type keyLog struct {
	file   *os.File
	say    sync.Once
	notice string
	stderr io.Writer
}

func openKeyLog(program, name string, stderr io.Writer) (*keyLog, error) {
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("SSLKEYLOGFILE: %w: unset it, or name a writable file", err)
	}
	notice := fmt.Sprintf("%s: SECRETS are written to %s (SSLKEYLOGFILE)\n", program, name)
	return &keyLog{file: file, notice: notice, stderr: stderr}, nil
}

func (k *keyLog) Say() { k.say.Do(func() { _, _ = io.WriteString(k.stderr, k.notice) }) }

func (k *keyLog) Write(line []byte) (int, error) {
	k.Say()
	return k.file.Write(line)
}
