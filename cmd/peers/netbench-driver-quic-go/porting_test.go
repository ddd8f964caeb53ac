package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/porting-from-quic-go.md must name everything that quic-go exports: each type, function, constant and
// variable, each method, and each field of the structs that a program fills in or reads.
func TestPortingPageIsComplete(t *testing.T) {
	page, err := os.ReadFile("../../../docs/porting-from-quic-go.md")
	require.NoError(t, err)
	words := make(map[string]bool)
	for _, w := range regexp.MustCompile(`\w+`).FindAllString(string(page), -1) {
		words[w] = true
	}
	// Fields of types that have no counterpart yet.
	skip := regexp.MustCompile(`^(ClientToken|DatagramTooLargeError)\.`)
	var missing []string
	for _, pkg := range []string{"github.com/quic-go/quic-go", "github.com/quic-go/quic-go/http3"} {
		dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
		require.NoError(t, err)
		for _, name := range exported(t, strings.TrimSpace(string(dir))) {
			if strings.HasSuffix(pkg, "/http3") && (strings.Contains(name, ".") || strings.HasPrefix(name, "ErrCode")) {
				continue // the page says "not yet" for the whole package
			}
			if !skip.MatchString(name) && !words[name[strings.LastIndex(name, ".")+1:]] {
				missing = append(missing, pkg+"."+name)
			}
		}
	}
	require.Empty(t, missing, "names that the page lacks")
}

// exported lists the exported names of a package, those of methods and fields with their type.
func exported(t *testing.T, dir string) (names []string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(filepath.Base(file), "mock") ||
			strings.HasPrefix(filepath.Base(file), "sys_conn_df") { // system constants
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, decl := range f.Decls {
			names = append(names, declared(decl)...)
		}
	}
	require.Greater(t, len(names), 20)
	return names
}

func declared(decl ast.Decl) (names []string) {
	add := func(owner string, ids ...*ast.Ident) {
		for _, id := range ids {
			if id.IsExported() {
				names = append(names, owner+id.Name)
			}
		}
	}
	switch d := decl.(type) {
	case *ast.FuncDecl:
		owner := ""
		if d.Recv != nil {
			typ := d.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			id, ok := typ.(*ast.Ident)
			if !ok || !id.IsExported() || d.Name.Name == "String" || d.Name.Name == "Error" || d.Name.Name == "Is" ||
				d.Name.Name == "Timeout" || d.Name.Name == "Temporary" || d.Name.Name == "Unwrap" {
				break
			}
			owner = id.Name + "."
		}
		add(owner, d.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				add("", s.Names...)
			case *ast.TypeSpec:
				add("", s.Name)
				if st, ok := s.Type.(*ast.StructType); ok && s.Name.IsExported() {
					for _, field := range st.Fields.List {
						add(s.Name.Name+".", field.Names...)
					}
				}
			}
		}
	}
	return names
}
