//go:build checks

package checks

import (
	"archive/zip"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	modulePath = "github.com/pqquic/pqquic"
	version    = "v0.1.0"
)

// publish makes a module proxy in dir that serves the tree's root module.
func publish(t *testing.T, dir string) {
	t.Helper()
	tree := t.TempDir() + "/tree"
	copyTree(t, tree)
	require.NoError(t, os.RemoveAll(tree+"/build/out"))
	versions := filepath.Join(dir, modulePath, "@v")
	write(t, versions+"/list", version+"\n")
	write(t, versions+"/"+version+".info", `{"Version":"`+version+`"}`)
	write(t, versions+"/"+version+".mod", read(t, tree+"/go.mod"))
	f, err := os.Create(versions + "/" + version + ".zip")
	require.NoError(t, err)
	defer f.Close()
	z := zip.NewWriter(f)
	require.NoError(t, filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.IsDir() {
			if _, err := os.Stat(path + "/go.mod"); err == nil && path != tree {
				return filepath.SkipDir // another module
			}
			return nil
		}
		rel, err := filepath.Rel(tree, path)
		require.NoError(t, err)
		w, err := z.Create(modulePath + "@" + version + "/" + rel)
		require.NoError(t, err)
		_, err = w.Write([]byte(read(t, path)))
		return err
	}))
	require.NoError(t, z.Close())
}

// userModule is a shell in a user's new module, with an empty module cache and a proxy that serves our module.
func userModule(t *testing.T) *shell {
	t.Helper()
	work := t.TempDir()
	publish(t, work+"/proxy")
	s := in(t, root)
	goenv := func(name string) string { return strings.TrimSpace(s.run("go", "env", name)) }
	cargo, ok := os.LookupEnv("CARGO_HOME")
	if home, err := os.UserHomeDir(); !ok && err == nil {
		cargo = home + "/.cargo"
	}
	rustup, ok := os.LookupEnv("RUSTUP_HOME")
	if home, err := os.UserHomeDir(); !ok && err == nil {
		rustup = home + "/.rustup"
	}
	s = s.with("HOME="+work, "GOMODCACHE="+work+"/modcache", "GOCACHE="+goenv("GOCACHE"), "GOSUMDB=off",
		"GOPROXY=file://"+work+"/proxy,file://"+goenv("GOMODCACHE")+"/cache/download,"+goenv("GOPROXY"),
		"CARGO_HOME="+cargo, "RUSTUP_HOME="+rustup)
	write(t, work+"/user/main.go", read(t, "testdata/user.go.txt"))
	s = s.at(work + "/user")
	s.run("go", "mod", "init", "example.test/user")
	t.Cleanup(func() { makeWritable(t, work) })
	return s
}

// makeWritable makes the files in a module cache writable, so that they can be removed.
func makeWritable(t *testing.T, dir string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		return err
	}))
}

// shBlocks returns the blocks of shell code in a document.
func shBlocks(t *testing.T, file string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(read(t, root+"/"+file), -1) {
		blocks = append(blocks, m[1])
	}
	require.NotEmpty(t, blocks, file)
	return blocks
}

// block returns the only block that contains text.
func block(t *testing.T, blocks []string, text string) string {
	t.Helper()
	var found []string
	for _, b := range blocks {
		if strings.Contains(b, text) {
			found = append(found, b)
		}
	}
	require.Len(t, found, 1, "blocks with %q", text)
	return found[0]
}

// repository makes a git repository of the tree and returns the variables that make git clone it for
// `git clone https://github.com/pqquic/pqquic`.
func repository(t *testing.T) []string {
	repo := t.TempDir() + "/repository"
	copyTree(t, repo)
	require.NoError(t, os.RemoveAll(repo+"/build/out"))
	s := in(t, repo)
	s.run("git", "init", "-q")
	s.run("git", "add", ".")
	s.run("git", "-c", "user.name=check", "-c", "user.email=check@example.test", "commit", "-q", "-m", "all")
	return []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://" + repo + ".insteadOf",
		"GIT_CONFIG_VALUE_0=https://" + modulePath}
}

// TestUsingInYourModule runs the commands of docs/using-in-your-module.md in a user's module. AWS_LC_DIR is set to
// the AWS-LC of the default variant, so that it is not built again.
func TestUsingInYourModule(t *testing.T) {
	t.Parallel()
	awslc := built(t, "default") + "/awslc"
	s := userModule(t)
	blocks := shBlocks(t, "docs/using-in-your-module.md")
	sh := func(s *shell, script string) string { t.Helper(); return s.run("sh", "-e", "-c", script) }

	sh(s, block(t, blocks, "go get "))
	require.Contains(t, read(t, root+"/README.md"), "go get "+modulePath, "README has another command")
	cache := s.cacheSum()
	s.mustPrint("group X25519MLKEM768 provider native", "go", "run", ".", "native")
	s.mustFail("make build", "go", "run", ".", "s2n")
	s.mustFail("make install", "go", "build", "-tags", "pqquic_s2n", ".")

	home := filepath.Dir(s.dir)
	clone := s.at(home).with(append(repository(t), "AWS_LC_DIR="+awslc)...).with(compiler()...)
	sh(clone, block(t, blocks, "git clone"))
	for _, f := range []string{"lib/libpqquic-default.a", "include/pqquic.h", "share/pqquic/env", "share/pqquic/LICENSE",
		"share/pqquic/THIRD_PARTY_NOTICES", "share/pqquic/stamp-default", "share/pqquic/libpqquic-default.cdx.json"} {
		require.FileExists(t, filepath.Join(home, "installed", f))
	}
	const native, linked = "group X25519MLKEM768 provider native", "group X25519MLKEM768 provider s2n"
	env := block(t, blocks, ". $HOME/installed/share/pqquic/env\ngo build")
	require.Contains(t, sh(s, env+"go run . s2n\n"), linked)
	require.Contains(t, sh(s, env+"go build -tags pqquic_s2n .\n./user s2n\n"), linked)
	require.Contains(t, sh(s, env+block(t, blocks, "CGO_LDFLAGS -lmylib")+`echo "$CGO_LDFLAGS"`), "-lmylib")
	// go env -w and direnv set the same variables.
	require.Contains(t, sh(s.with("GOENV="+home+"/goenv"), block(t, blocks, "go env -w")+"go run . s2n\n"), linked)
	require.Contains(t, sh(s, block(t, blocks, "scripts/env")+"go run . s2n\n"), linked)
	s.mustFail("make build", "go", "run", ".", "s2n") // without the variables, Go must not use the linked package in its cache

	s.run("go", "mod", "vendor")
	require.Contains(t, s.run("go", "run", "-mod=vendor", ".", "native"), native)
	require.Contains(t, sh(s, env+"go run -mod=vendor . s2n\n"), linked)
	require.Equal(t, cache, s.cacheSum(), "the module cache was written to")
}

// cacheSum returns the hash of the module's files in the module cache. It fails the test if the mode of a file
// allows writing, because root, who may run the test, could write to it anyway.
func (s *shell) cacheSum() [32]byte {
	dir := filepath.Join(filepath.Dir(s.dir), "modcache", modulePath+"@"+version)
	h := sha256.New()
	require.NoError(s.t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(s.t, err)
		info, err := d.Info()
		require.NoError(s.t, err)
		require.Zero(s.t, info.Mode().Perm()&0o222, "%s is writable", path)
		if !d.IsDir() {
			h.Write([]byte(path + "\x00" + read(s.t, path)))
		}
		return nil
	}))
	return [32]byte(h.Sum(nil))
}

// TestInstallPrefix installs into folders whose names must be quoted, or cannot be quoted.
func TestInstallPrefix(t *testing.T) {
	t.Parallel()
	built(t, "default")
	work := t.TempDir()
	s := in(t, work)
	s.run(root+"/scripts/install", "default", "a prefix")
	require.Contains(t, s.run("sh", "-c", `. "./a prefix/share/pqquic/env" && echo "$CGO_LDFLAGS"`),
		"'"+work+"/a prefix/lib/libpqquic-default.a'")
	s.mustFail("do not support", root+"/scripts/install", "default", work+"/$HOME")
}
