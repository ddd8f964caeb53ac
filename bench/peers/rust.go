//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// buildRust builds the driver of the stacks in Rust from the crate in a folder, and returns its path.
func buildRust(crate, target string, log io.Writer) (string, error) {
	cargo, err := exec.LookPath("cargo")
	if err != nil {
		return "", fmt.Errorf("cargo is not installed: %w", err)
	}
	if target, err = filepath.Abs(target); err != nil {
		return "", err
	}
	cmd := exec.Command(cargo, "build", "--release", "--locked",
		"--manifest-path", filepath.Join(crate, "Cargo.toml"), "--target-dir", target)
	cmd.Env = append(os.Environ(), "RUSTFLAGS=") // as most users build
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("cargo build failed: %w", err)
	}
	return rustProgram(target), nil
}

// rustProgram returns the path of the driver that buildRust builds.
func rustProgram(target string) string { return filepath.Join(target, "release", "peers-driver") }

// quicheProgram returns the path of the driver of quiche that scripts/build-quiche builds.
func quicheProgram(target string) string { return filepath.Join(target, "release", "quiche-driver") }
