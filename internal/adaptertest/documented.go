package adaptertest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// Documented fails unless the page shows the functions as they are in the source
// file, which is compiled and run.
func Documented(t *testing.T, page, source string, functions ...string) {
	t.Helper()
	shown, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, source, code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, decl := range parsed.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			found[f.Name.Name] = string(code[files.Position(f.Pos()).Offset:files.Position(f.End()).Offset])
		}
	}
	for _, name := range functions {
		switch text, ok := found[name]; {
		case !ok:
			t.Errorf("%s has no function %s", source, name)
		case !strings.Contains(string(shown), "\n"+text+"\n"):
			t.Errorf("%s does not show %s of %s as it is", page, name, source)
		}
	}
}
