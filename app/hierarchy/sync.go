package hierarchy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// EffectKind is what a line of a file does to its node.
type EffectKind string

// What lines do. A node that is not in the file is missing, or retires where that was asked.
const (
	EffectCreated   EffectKind = "created"
	EffectMoved     EffectKind = "moved" // and perhaps changed
	EffectChanged   EffectKind = "changed"
	EffectUnchanged EffectKind = "unchanged"
	EffectRetired   EffectKind = "retired"
	EffectMissing   EffectKind = "missing"
)

// Effect is what a line of a file does; a node that is not in the file has line 0.
type Effect struct {
	Line       int
	Code, Name string
	Kind       EffectKind
	Fields     []FieldEffect // that differ
}

// FieldEffect is one field before and after, as the file writes them.
type FieldEffect struct{ Field, Before, After string }

// SyncOptions says how far a file goes.
type SyncOptions struct {
	// RetireMissing lets every node retire that is not in the file.
	RetireMissing bool
	// KeysTo is the node that the virtual keys of those charge from then on.
	KeysTo string
	// Scope is the subtrees that may be touched; nil for all. Only of them is anything missing.
	Scope []id.Node
}

// Synced is how a hierarchy becomes what a file says.
type Synced struct {
	Operations []Operation
	Effects    []Effect // of every line in the file's order, then of what is not in it
	Problems   []Problem
	lines      []int // of each operation, in the file; 0 for none
	file       *File
}

// Sync compares a file with a tree: the operations that make the one of the other, every
// line's effect, and every error by line and column. With a problem there are no operations.
func Sync(tree *Tree, file *File, o SyncOptions) Synced {
	s := &syncing{tree: tree, options: o, want: map[string]*wanted{}, out: Synced{file: file}}
	for i := range file.Lines {
		s.read(&file.Lines[i])
	}
	s.missing()
	for _, w := range s.order {
		s.climb(w)
	}
	for _, w := range s.order {
		s.effect(w)
	}
	s.gone()
	slices.SortStableFunc(s.out.Problems, func(a, b Problem) int { return a.Line - b.Line })
	s.out.Problems = s.out.Problems[:min(len(s.out.Problems), MaxProblems)]
	if len(s.out.Problems) > 0 {
		s.out.Operations, s.out.lines = nil, nil
		return s.out
	}
	for _, w := range s.order {
		s.operate(w)
	}
	s.retire()
	return s.out
}

// Blame makes a problem of the fault of an operation, at the line and column it is from.
func (s *Synced) Blame(err error) (Problem, bool) {
	f, ok := errors.AsType[*fault.Fault](err)
	if !ok || (f.Kind != fault.KindInvalid && f.Kind != fault.KindConflict) {
		return Problem{}, false
	}
	i, member, is := OperationOf(f.Field)
	if !is || i >= len(s.lines) {
		return Problem{Message: f.Message}, true
	}
	p := Problem{Line: s.lines[i], Message: f.Message}
	p.Head = columnOf(member)
	if p.Line > 0 {
		p.Column = s.file.Column(p.Head)
	}
	if p.Column == 0 {
		p.Head = ""
	}
	if s.lines[i] == 0 {
		p.Message = s.Operations[i].Code + ": " + p.Message
	}
	return p, true
}

// columnOf is the column that says what a member of an operation does.
func columnOf(member string) string {
	if member == "evidence.capitalizable_bps" {
		return "capitalizable_percent"
	}
	return strings.TrimPrefix(strings.TrimPrefix(member, "evidence."), "dimensions.")
}

// wanted is a node as a line says it shall be.
type wanted struct {
	line   *FileLine
	before *Version // nil: it is made
	v      Version
	parent string // code
	placed bool   // its operations are there
}

type syncing struct {
	tree    *Tree
	options SyncOptions
	want    map[string]*wanted
	order   []*wanted // as in the file
	absent  []Version // nodes that are not in the file, parents first
	out     Synced
}

func (s *syncing) refuse(line *FileLine, column, message string) {
	p := Problem{Line: line.Number, Column: s.out.file.Column(column), Head: column, Message: message}
	if p.Column == 0 {
		p.Head = ""
	}
	s.out.Problems = append(s.out.Problems, p)
}

func (s *syncing) mine(node id.Node) bool {
	return s.options.Scope == nil || slices.ContainsFunc(s.options.Scope, func(root id.Node) bool { return s.tree.Within(node, root) })
}

func (s *syncing) parentOf(v *Version) string {
	parent, _ := s.tree.Node(v.Parent)
	return parent.Code
}

// read turns a line into a node as it shall be.
func (s *syncing) read(l *FileLine) {
	w := &wanted{line: l, v: Version{Code: l.Code, Capitalization: Expense}}
	if old, there := s.tree.Code(l.Code); there && s.mine(old.Node) {
		w.before, w.v, w.parent = &old, old, s.parentOf(&old)
	}
	dimensions := w.v.Dimensions.Codes()
	cleared := map[string]bool{}
	for _, column := range s.out.file.Head {
		text, said := l.Cells[column]
		if !said {
			continue
		}
		system, name, isDimension := strings.Cut(column, ".")
		switch {
		case column == "parent_code":
			w.parent = text
		case isDimension:
			if !cleared[system] {
				cleared[system], dimensions[system] = true, map[string]string{}
			}
			if text != "" {
				dimensions[system][name] = text
			}
		default:
			if err := put(&w.v, column, text, w.before == nil); err != nil {
				s.refuse(l, column, fault.From(err).Message)
			}
		}
	}
	var err error
	if w.v.Dimensions, err = NewDimensions(dimensions); err != nil {
		s.refuse(l, fault.From(err).Field, fault.From(err).Message)
	}
	s.valid(w)
	s.want[l.Code], s.order = w, append(s.order, w)
}

// valid checks what a line says by itself.
func (s *syncing) valid(w *wanted) {
	for _, need := range []string{"name", "kind"} {
		if s.out.file.Column(need) == 0 && w.before == nil {
			s.refuse(w.line, "code", fmt.Sprintf("%s is new; for that the file needs a column %q.", w.line.Code, need))
			return
		}
	}
	o := Operation{
		Op: OpCreate, Code: w.v.Code, Name: w.v.Name, Kind: w.v.Kind, Entity: &w.v.Entity, GLAccount: &w.v.GLAccount,
		Capitalization: w.v.Capitalization, Evidence: &w.v.Evidence,
	}
	if w.before != nil && w.before.Capitalization == w.v.Capitalization && w.before.Evidence == w.v.Evidence {
		o.Capitalization = "" // what is there already needs no evidence now
	}
	if o.Name == "" || o.Kind == "" {
		return // told already
	}
	if err := o.Validate(); err != nil {
		f := fault.From(err)
		s.refuse(w.line, columnOf(f.Field), f.Message)
	}
}

// missing lists the nodes that are not in the file.
func (s *syncing) missing() {
	for _, v := range s.tree.All() {
		if s.want[v.Code] == nil && v.Code != SuspenseCode && s.mine(v.Node) {
			s.absent = append(s.absent, v)
		}
	}
}

// climb refuses a line whose parent is not there, retires, or lies below it.
func (s *syncing) climb(w *wanted) {
	code := w.parent
	for range maxDepth + 1 {
		if code == "" {
			return
		}
		if code == w.line.Code {
			s.refuse(w.line, "parent_code", fmt.Sprintf("%s would be below itself, by way of %s.", w.line.Code, w.parent))
			return
		}
		if up := s.want[code]; up != nil {
			code = up.parent
			continue
		}
		v, there := s.tree.Code(code)
		direct := code == w.parent
		if direct && w.before != nil && w.before.Parent == v.Node && !s.mine(v.Node) {
			return // it stays where it is
		}
		there = there && s.mine(v.Node) // what is not the maker's looks absent
		switch {
		case !there && direct:
			s.refuse(w.line, "parent_code", fmt.Sprintf("No node has code %.60q, in the file or at that time.", code))
			return
		case !there:
			return // told at the line that names it
		case s.options.RetireMissing && direct && v.Code != SuspenseCode:
			s.refuse(w.line, "parent_code", fmt.Sprintf("%s is not in the file, so it would retire.", code))
			return
		}
		code = s.parentOf(&v)
	}
	// Whoever is in the circle, or too deep, says so.
}

// effect says what a line does.
func (s *syncing) effect(w *wanted) {
	e := Effect{Line: w.line.Number, Code: w.line.Code, Name: w.v.Name, Kind: EffectUnchanged}
	before, old := "", Version{}
	if w.before != nil {
		before, old = s.parentOf(w.before), *w.before
	}
	for _, column := range fields() {
		if was, is := fieldOf(&old, column, before), fieldOf(&w.v, column, w.parent); was != is {
			e.Fields = append(e.Fields, FieldEffect{column, was, is})
		}
	}
	was, is := old.Dimensions.Codes(), w.v.Dimensions.Codes()
	for _, column := range s.out.file.Head {
		if system, name, dimension := strings.Cut(column, "."); dimension && was[system][name] != is[system][name] {
			e.Fields = append(e.Fields, FieldEffect{column, was[system][name], is[system][name]})
		}
	}
	e.Fields = append(e.Fields, dropped(s.out.file, was, is)...)
	switch {
	case w.before == nil:
		e.Kind = EffectCreated
	case before != w.parent:
		e.Kind = EffectMoved
	case len(e.Fields) > 0:
		e.Kind = EffectChanged
	}
	s.out.Effects = append(s.out.Effects, e)
}

// dropped are the dimensions that go because their system has columns and they have none.
func dropped(file *File, was, is map[string]map[string]string) []FieldEffect {
	var list []FieldEffect
	for _, system := range Systems() {
		for name, code := range was[system] {
			if column := system + "." + name; file.Column(column) == 0 && is[system][name] == "" {
				list = append(list, FieldEffect{column, code, ""})
			}
		}
	}
	slices.SortFunc(list, func(a, b FieldEffect) int { return strings.Compare(a.Field, b.Field) })
	return list
}

// gone says what becomes of the nodes that are not in the file.
func (s *syncing) gone() {
	for _, v := range s.absent {
		e := Effect{Code: v.Code, Name: v.Name, Kind: EffectMissing}
		if s.options.RetireMissing {
			e.Kind = EffectRetired
		}
		s.out.Effects = append(s.out.Effects, e)
	}
}

func (s *syncing) add(line int, o Operation) {
	s.out.Operations, s.out.lines = append(s.out.Operations, o), append(s.out.lines, line)
}

// operate makes the operations of a line, those of its parent before: so no node is ever
// laid below one that is still below it.
func (s *syncing) operate(w *wanted) {
	if w.placed {
		return
	}
	w.placed = true
	if up := s.want[w.parent]; up != nil {
		s.operate(up)
	}
	line, v := w.line.Number, &w.v
	owner := v.Owner.String()
	if w.before == nil {
		o := Operation{Op: OpCreate, Code: v.Code, Name: v.Name, Kind: v.Kind, Capitalization: v.Capitalization}
		o.ParentCode, o.Entity, o.GLAccount, o.Owner = unlessEmpty(w.parent), unlessEmpty(v.Entity), unlessEmpty(v.GLAccount), unlessEmpty(owner)
		if v.Evidence != (Evidence{}) {
			o.Evidence = &v.Evidence
		}
		if v.Dimensions != "" {
			o.Dimensions = v.Dimensions.Codes()
		}
		s.add(line, o)
		return
	}
	old := w.before
	for _, one := range []struct {
		differs bool
		o       Operation
	}{
		{s.parentOf(old) != w.parent, Operation{Op: OpMove, ParentCode: &w.parent}},
		{old.Name != v.Name, Operation{Op: OpRename, Name: v.Name}},
		{old.Kind != v.Kind, Operation{Op: OpKind, Kind: v.Kind}},
		{old.Owner != v.Owner, Operation{Op: OpOwner, Owner: &owner}},
		{old.Entity != v.Entity, Operation{Op: OpEntity, Entity: &v.Entity}},
		{old.GLAccount != v.GLAccount, Operation{Op: OpGLAccount, GLAccount: &v.GLAccount}},
		{old.Capitalization != v.Capitalization || old.Evidence != v.Evidence, Operation{Op: OpCapitalization, Capitalization: v.Capitalization, Evidence: &v.Evidence}},
		{old.Dimensions != v.Dimensions, Operation{Op: OpDimensions, Dimensions: v.Dimensions.Codes()}},
	} {
		if one.differs {
			one.o.Code = v.Code
			s.add(line, one.o)
		}
	}
}

func unlessEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// retire lets what is not in the file go, children before parents.
func (s *syncing) retire() {
	if !s.options.RetireMissing {
		return
	}
	for _, v := range slices.Backward(s.absent) {
		s.add(0, Operation{Op: OpRetire, Code: v.Code, KeysTo: s.options.KeysTo})
	}
}

// Drift counts the effects of each kind.
func (s *Synced) Drift() map[EffectKind]int {
	counts := map[EffectKind]int{}
	for i := range s.Effects {
		counts[s.Effects[i].Kind]++
	}
	return counts
}

// Where says where a problem is, in words.
func (p Problem) Where() string {
	switch {
	case p.Line == 0:
		return "The file"
	case p.Column == 0:
		return "Line " + strconv.Itoa(p.Line)
	}
	return "Line " + strconv.Itoa(p.Line) + ", column " + strconv.Itoa(p.Column)
}
