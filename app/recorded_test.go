package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEveryUseCaseThatWritesRuns finds every exported use case that opens a transaction
// to write, and requires a test that calls it, by itself or through a page or a job (of
// which the tests of web and jobs walk all). These tests run on a database in which a
// transaction that writes without a record of the log does not commit
// (dbtest.RecordedMain): so between them they prove the record of every use case.
func TestEveryUseCaseThatWritesRuns(t *testing.T) {
	t.Parallel()
	called := callsOf(t, "*_test.go", ".")
	maps.Copy(called, callsOf(t, "*.go", "../web", "../web/api", "../jobs", ".."))
	called["SignDecision"] = true // within a decision's own transaction, through an interface
	writing := useCasesThatWrite(t)
	require.Greater(t, len(writing), 60)
	for _, name := range writing {
		assert.True(t, called[name], "no test calls %s, so nothing proves its record", name)
	}
}

// parsed are the files of a folder that match.
func parsed(t *testing.T, folder, pattern string) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, pattern))
	require.NoError(t, err)
	var files []*ast.File
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	return files
}

func callsOf(t *testing.T, pattern string, folders ...string) map[string]bool {
	t.Helper()
	called := map[string]bool{}
	for _, folder := range folders {
		for _, file := range parsed(t, folder, pattern) {
			ast.Inspect(file, func(n ast.Node) bool {
				if selected, ok := n.(*ast.SelectorExpr); ok {
					called[selected.Sel.Name] = true
				}
				return true
			})
		}
	}
	return called
}

// useCasesThatWrite are the exported methods from which a call to InTenant can be
// reached by the package's own functions.
func useCasesThatWrite(t *testing.T) []string {
	t.Helper()
	calls, exported := map[string]map[string]bool{}, map[string]bool{}
	for _, file := range parsed(t, ".", "*.go") {
		for _, declared := range file.Decls {
			f, ok := declared.(*ast.FuncDecl)
			if !ok || f.Body == nil || file.Name.Name != "app" {
				continue
			}
			name := f.Name.Name
			exported[name] = exported[name] || f.Recv != nil && f.Name.IsExported()
			if calls[name] == nil {
				calls[name] = map[string]bool{}
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					switch fun := call.Fun.(type) {
					case *ast.Ident:
						calls[name][fun.Name] = true
					case *ast.SelectorExpr:
						calls[name][fun.Sel.Name] = true
					}
				}
				return true
			})
		}
	}
	var found []string
	for name := range exported {
		if exported[name] && reaches(calls, name, "InTenant", map[string]bool{}) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

func reaches(calls map[string]map[string]bool, from, to string, seen map[string]bool) bool {
	if seen[from] {
		return false
	}
	seen[from] = true
	for called := range calls[from] {
		if called == to || calls[called] != nil && reaches(calls, called, to, seen) {
			return true
		}
	}
	return false
}
