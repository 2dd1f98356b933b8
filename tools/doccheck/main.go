// Doccheck reports exported names without a doc comment: everything that a
// reader of the package's documentation sees, including methods, the methods of
// interfaces and the fields of structs. Staticcheck judges the form of the
// comments that exist (ST1000, ST1020 to ST1022); no maintained linter reports
// missing ones on fields.
//
// Packages named main and internal packages have no such readers and are left out.
package main

import (
	"go/ast"
	"go/token"
	"regexp"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/singlechecker"
)

var analyzer = &analysis.Analyzer{
	Name: "doccheck",
	Doc:  "report exported names without a doc comment",
	Run:  run,
}

var internal = regexp.MustCompile(`(^|/)internal(/|$)`)

func main() { singlechecker.Main(analyzer) }

func run(pass *analysis.Pass) (any, error) {
	if pass.Pkg.Name() == "main" || internal.MatchString(pass.Pkg.Path()) {
		return nil, nil
	}
	for _, file := range pass.Files {
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				checkFunc(pass, decl)
			case *ast.GenDecl:
				checkGroup(pass, decl)
			}
		}
	}
	return nil, nil
}

func checkFunc(pass *analysis.Pass, f *ast.FuncDecl) {
	if f.Name.IsExported() && receiverExported(f) && !documented(f.Doc) {
		pass.Reportf(f.Pos(), "%s has no doc comment", f.Name.Name)
	}
}

// receiverExported is true for functions, too. Methods of unexported types do
// not show in the documentation.
func receiverExported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr: // one type parameter
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// checkGroup takes a comment on a group of constants or variables for all of
// its members; types need their own.
func checkGroup(pass *analysis.Pass, d *ast.GenDecl) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			if !documented(d.Doc, spec.Doc, spec.Comment) {
				report(pass, spec.Names)
			}
		case *ast.TypeSpec:
			checkType(pass, spec, documented(spec.Doc) || !d.Lparen.IsValid() && documented(d.Doc))
		}
	}
}

func checkType(pass *analysis.Pass, t *ast.TypeSpec, ok bool) {
	if !t.Name.IsExported() {
		return
	}
	if !ok {
		report(pass, []*ast.Ident{t.Name})
	}
	switch t := t.Type.(type) {
	case *ast.StructType:
		checkFields(pass, t.Fields.List)
	case *ast.InterfaceType:
		for _, method := range t.Methods.List {
			if !documented(method.Doc) {
				report(pass, method.Names)
			}
		}
	}
}

// checkFields takes a comment for all fields down to the next empty line, as
// in net/http.Request (Proto, ProtoMajor and ProtoMinor). An embedded field has
// no name of its own and is described by its type.
func checkFields(pass *analysis.Pass, fields []*ast.Field) {
	previous, covered := -1, false
	for _, f := range fields {
		own := documented(f.Doc, f.Comment)
		if f.Doc != nil || line(pass, f.Pos()) > previous+1 {
			covered = documented(f.Doc)
		}
		if !own && !covered {
			report(pass, f.Names)
		}
		previous = line(pass, f.End())
		if nested, ok := f.Type.(*ast.StructType); ok && len(f.Names) > 0 && f.Names[0].IsExported() {
			checkFields(pass, nested.Fields.List)
		}
	}
}

func report(pass *analysis.Pass, names []*ast.Ident) {
	for _, name := range names {
		if name.IsExported() {
			pass.Reportf(name.Pos(), "%s has no doc comment", name.Name)
		}
	}
}

// documented tells whether one of the comments has text; directives are none.
func documented(comments ...*ast.CommentGroup) bool {
	for _, c := range comments {
		if c.Text() != "" {
			return true
		}
	}
	return false
}

func line(pass *analysis.Pass, pos token.Pos) int { return pass.Fset.Position(pos).Line }
