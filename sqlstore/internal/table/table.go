// Package table names the tables of a store, and what belongs to them, safely.
package table

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxName leaves room for what is appended to a name: PostgreSQL cuts names to
// 63 bytes without an error, so that two might become one.
const maxName = 40

// Table is the name of a table, in a schema if there is one.
type Table struct{ schema, name string }

// Parse takes "name" or "schema.name".
func Parse(s string) (Table, error) {
	t := Table{name: s}
	if schema, name, ok := strings.Cut(s, "."); ok {
		t = Table{schema: schema, name: name}
		if schema == "" || len(schema) > maxName {
			return t, fmt.Errorf("table name %q: the schema has no name of 1 to %d bytes", s, maxName)
		}
	}
	switch {
	case t.name == "" || len(t.name) > maxName:
		return t, fmt.Errorf("table name %q: not of 1 to %d bytes", s, maxName)
	case strings.Contains(t.name, "."):
		return t, fmt.Errorf("table name %q: more than one dot", s)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }):
		return t, fmt.Errorf("table name %q: a control character, or no UTF-8", s)
	}
	return t, nil
}

// With returns the name with a suffix, in the same schema.
func (t Table) With(suffix string) Table { return Table{t.schema, t.name + suffix} }

// Bare returns the name without the schema.
func (t Table) Bare() Table { return Table{name: t.name} }

// Quote returns the name as an identifier between quotes of this kind, which SQL
// doubles within.
func (t Table) Quote(quote string) string {
	name := quote + strings.ReplaceAll(t.name, quote, quote+quote) + quote
	if t.schema == "" {
		return name
	}
	return quote + strings.ReplaceAll(t.schema, quote, quote+quote) + quote + "." + name
}

// String returns the name as Parse takes it.
func (t Table) String() string {
	if t.schema == "" {
		return t.name
	}
	return t.schema + "." + t.name
}

// Channel is the channel of notifications that tells of changes in the table.
func (t Table) Channel() string { return t.name + "_feed" }

// Triggers are the names of the triggers that notify.
func (t Table) Triggers() []string {
	return []string{t.name + "_feed_updated", t.name + "_feed_deleted", t.name + "_feed_truncated"}
}

// Literal returns a string as a literal of standard SQL.
func Literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
