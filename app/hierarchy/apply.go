package hierarchy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// Request is a change of the hierarchy: operations that take effect at one instant.
type Request struct {
	Operations []Operation
	At         time.Time // the effective instant
	RecordedAt time.Time // now; what is recorded already stays known before it, whatever the clock says
	Change     id.Change
	Scope      []id.Node // the subtrees the maker may touch; nil for all
}

// Leaving is a node that retires, and where what it was charged goes from then on.
type Leaving struct {
	Node      id.Node
	Code      string
	KeysTo    id.Node // zero: nowhere was said
	Operation int
}

// Outcome is what a change does to the versions.
type Outcome struct {
	Operations []Operation        // as sent, each saying what it replaces
	Named      map[string]id.Node // the nodes that were there before and are named, by the code they were named by
	Close      []Closing
	Add        []Version
	Created    []id.Node
	Leaving    []Leaving
	Touches    []id.Node // the nodes that were there before and that the change is about
	RecordedAt time.Time
}

// maxInstants bounds the instants ahead at which a tree turns: each is looked at with
// every change, and placements are interned for each.
const maxInstants = 400

// Apply takes operations one after the other and says what to close and what to add.
//
// A field that is set holds from the instant on, through every later version that does not
// change that field itself: what is planned already stands, and does not undo what is set
// now. A node with a later change of its own cannot retire before it. The tree is checked
// at every instant from the first on at which it differs.
func Apply(versions []Version, r Request) (Outcome, error) {
	w := newWork(versions, r)
	for i := range r.Operations {
		w.turn = i
		if err := w.take(&r.Operations[i]); err != nil {
			return Outcome{}, within(i, err)
		}
	}
	if err := w.check(); err != nil {
		return Outcome{}, err
	}
	w.settle()
	return w.out, nil
}

// After is every version as it is once the change is recorded.
func (o *Outcome) After(versions []Version) []Version {
	ends := make(map[id.Version]time.Time, len(o.Close))
	for _, c := range o.Close {
		ends[c.Version] = c.Ends
	}
	next := slices.Clone(versions)
	for i := range next {
		if at, closed := ends[next[i].ID]; closed {
			next[i].EffectiveTo, next[i].ClosedAt = at, o.RecordedAt
		}
	}
	return append(next, o.Add...)
}

// line is one node from the instant on, as it was and as it becomes.
type line struct {
	versions      []Version
	before, spans []span
	turn          int // of the last operation that changed it; -1 for none
}

// now is what the node is at the instant.
func (l *line) now() *Version { return &l.spans[0].v }

// fresh tells a node that this change makes.
func (l *line) fresh() bool { return len(l.versions) == 0 }

// carry sets a field from the instant on, until a later version changes that field itself.
func carry[T comparable](w *work, l *line, field func(*Version) *T, to T) {
	l.turn = w.turn
	was := *field(l.now())
	for i := range l.spans {
		if i > 0 && (!l.spans[i].there || *field(&l.spans[i].v) != was) {
			break
		}
		*field(&l.spans[i].v) = to
	}
}

// work is a change while its operations are taken.
type work struct {
	Request

	lines    map[id.Node]*line
	codes    map[string]id.Node // at the instant
	children map[id.Node]map[id.Node]bool
	turn     int
	touches  map[id.Node]bool
	out      Outcome
}

func newWork(versions []Version, r Request) *work {
	w := &work{Request: r, lines: map[id.Node]*line{}, codes: map[string]id.Node{}, children: map[id.Node]map[id.Node]bool{}, touches: map[id.Node]bool{}}
	w.out = Outcome{Operations: slices.Clone(r.Operations), Named: map[string]id.Node{}, RecordedAt: r.RecordedAt}
	byNode := map[id.Node][]Version{}
	for i := range versions {
		v := versions[i]
		for _, recorded := range []time.Time{v.RecordedAt, v.ClosedAt} {
			if !recorded.Before(w.out.RecordedAt) {
				w.out.RecordedAt = recorded.Add(time.Microsecond)
			}
		}
		if v.EffectiveTo.IsZero() || v.EffectiveTo.After(r.At) {
			byNode[v.Node] = append(byNode[v.Node], v)
		}
	}
	for node, own := range byNode {
		l := &line{versions: own, before: resolve(own, r.At, time.Time{}), turn: -1}
		l.spans = slices.Clone(l.before)
		w.lines[node] = l
		if l.spans[0].there {
			w.place(node, l.now())
		}
	}
	return w
}

// place and remove keep the indexes of the tree at the instant.
func (w *work) place(node id.Node, v *Version) {
	w.codes[v.Code] = node
	if w.children[v.Parent] == nil {
		w.children[v.Parent] = map[id.Node]bool{}
	}
	w.children[v.Parent][node] = true
}

func (w *work) remove(node id.Node, v *Version) {
	if w.codes[v.Code] == node {
		delete(w.codes, v.Code)
	}
	delete(w.children[v.Parent], node)
}

// below lists the children of a node by code.
func (w *work) below(node id.Node) []id.Node {
	list := make([]id.Node, 0, len(w.children[node]))
	for child := range w.children[node] {
		list = append(list, child)
	}
	slices.SortFunc(list, func(a, b id.Node) int { return cmp.Compare(w.lines[a].now().Code, w.lines[b].now().Code) })
	return list
}

// under lists all that is below a node, parents first.
func (w *work) under(node id.Node) []id.Node {
	var list []id.Node
	for _, child := range w.below(node) {
		list = append(append(list, child), w.under(child)...)
	}
	return list
}

// inside tells whether a node is a root or below it, as the tree stands.
func (w *work) inside(node, root id.Node) bool {
	for range maxDepth + 1 {
		if node == root {
			return true
		}
		l := w.lines[node]
		if l == nil || node.IsZero() {
			return false
		}
		node = l.now().Parent
	}
	return false
}

// find resolves a code at the instant. What is not the maker's looks absent.
func (w *work) find(member, code string) (id.Node, error) {
	node, there := w.codes[code]
	if !there || (w.Scope != nil && !slices.ContainsFunc(w.Scope, func(root id.Node) bool { return w.inside(node, root) })) {
		return id.Node{}, fault.Invalid(member, "node_absent", "No node has code %.60q at that time.", code)
	}
	if !w.lines[node].fresh() {
		w.out.Named[code] = node
		w.touches[node] = true
	}
	return node, nil
}

// parent resolves where a node goes; only who may touch everything adds to the top.
func (w *work) parent(code string) (id.Node, error) {
	if code == "" && w.Scope == nil {
		return id.Node{}, nil
	}
	node, err := w.find("parent_code", code)
	if err != nil {
		return id.Node{}, fault.Invalid("parent_code", "parent_absent", "No node has code %.60q at that time; create parents before children.", code)
	}
	return node, nil
}

// take does one operation.
func (w *work) take(o *Operation) error {
	if o.Op == OpCreate {
		return w.create(o)
	}
	node, err := w.find("code", o.Code)
	if err != nil {
		return err
	}
	if o.Code == SuspenseCode && slices.Contains([]Op{OpRecode, OpMove, OpMerge, OpSplit, OpRetire}, o.Op) {
		return fault.Invalid("code", "suspense_stays", "%s takes what no rule could place. It stays as it is.", SuspenseCode)
	}
	l := w.lines[node]
	was := w.was(o.Op, node)
	if o.Was != nil && *o.Was != was {
		return overtaken(o, was)
	}
	if o.Op != OpRecode {
		w.out.Operations[w.turn].Was = &was
	}
	switch o.Op {
	case OpMerge:
		return w.merge(o, node)
	case OpSplit:
		return w.split(o, node)
	case OpRetire:
		return w.retire(o, node)
	case OpMove:
		return w.move(node, *o.ParentCode)
	case OpRecode:
		return w.recode(node, o.NewCode)
	default:
		w.set(l, o)
	}
	return nil
}

// overtaken says what is not as the maker saw it.
func overtaken(o *Operation, is string) error {
	said := func(text string) string {
		if text == "" {
			return "nothing"
		}
		return fmt.Sprintf("%.80s", text)
	}
	what := map[Op]string{OpMove: "parent", OpMerge: "children", OpSplit: "children", OpRetire: "nodes below it", OpGLAccount: "GL account", OpRename: "name"}[o.Op]
	if what == "" {
		what = string(o.Op)
	}
	return fault.New(fault.KindConflict, "tree_moved", fmt.Sprintf("The hierarchy changed since this was made: of %s, %s was %s and is %s now. Look at it and propose it again.", o.Code, what, said(*o.Was), said(is)))
}

// was is what an operation would replace, in short.
func (w *work) was(op Op, node id.Node) string {
	v := w.lines[node].now()
	switch op {
	case OpRename:
		return v.Name
	case OpMove:
		if l := w.lines[v.Parent]; l != nil {
			return l.now().Code
		}
	case OpOwner:
		if !v.Owner.IsZero() {
			return v.Owner.String()
		}
	case OpEntity:
		return v.Entity
	case OpGLAccount:
		return v.GLAccount
	case OpKind:
		return string(v.Kind)
	case OpCapitalization:
		return string(v.Capitalization)
	case OpDimensions:
		return string(v.Dimensions)
	case OpMerge, OpSplit:
		return w.codesOf(w.below(node))
	case OpRetire:
		return w.codesOf(w.under(node))
	case OpCreate, OpRecode:
	}
	return ""
}

// maxListed bounds how long a list of codes in a change may get before its digest stands
// for it.
const maxListed = 400

func (w *work) codesOf(nodes []id.Node) string {
	codes := make([]string, 0, len(nodes))
	for _, node := range nodes {
		codes = append(codes, w.lines[node].now().Code)
	}
	text := strings.Join(codes, " ")
	if len(text) > maxListed {
		sum := sha256.Sum256([]byte(text))
		return fmt.Sprintf("%d nodes, sha-256 %s", len(codes), hex.EncodeToString(sum[:8]))
	}
	return text
}

// set changes what a node says of itself.
func (w *work) set(l *line, o *Operation) {
	switch o.Op { //nolint:exhaustive // the others change the tree
	case OpRename:
		carry(w, l, func(v *Version) *string { return &v.Name }, o.Name)
	case OpOwner:
		member, _ := id.ParseMember(*o.Owner) // Validate read it; empty is nobody
		carry(w, l, func(v *Version) *id.Member { return &v.Owner }, member)
	case OpEntity:
		carry(w, l, func(v *Version) *string { return &v.Entity }, *o.Entity)
	case OpGLAccount:
		carry(w, l, func(v *Version) *string { return &v.GLAccount }, *o.GLAccount)
	case OpKind:
		carry(w, l, func(v *Version) *Kind { return &v.Kind }, o.Kind)
	case OpCapitalization:
		carry(w, l, func(v *Version) *Capitalization { return &v.Capitalization }, o.Capitalization)
		if o.Evidence != nil {
			carry(w, l, func(v *Version) *Evidence { return &v.Evidence }, *o.Evidence)
		}
	case OpDimensions:
		dimensions, _ := NewDimensions(o.Dimensions) // Validate read them
		carry(w, l, func(v *Version) *Dimensions { return &v.Dimensions }, dimensions)
	}
}

func (w *work) recode(node id.Node, code string) error {
	l := w.lines[node]
	if holder, taken := w.codes[code]; taken && holder != node {
		return fault.Invalid("new_code", "code_taken", "Code %s is taken on %s.", code, w.At.Format(time.DateOnly))
	}
	if reserved(code) {
		return fault.Invalid("new_code", "code_reserved", "The code %s is the name of a tool of Tollbook. Choose another.", code)
	}
	if code == SuspenseCode || !codeForm.MatchString(code) {
		return fault.Invalid("new_code", "code_syntax", "A code is 1 to 40 letters, digits, dots, dashes or underscores, and not %s; %.60q is not one.", SuspenseCode, code)
	}
	w.remove(node, l.now())
	carry(w, l, func(v *Version) *string { return &v.Code }, code)
	w.place(node, l.now())
	return nil
}

func (w *work) move(node id.Node, to string) error {
	parent, err := w.parent(to)
	if err != nil {
		return err
	}
	if !parent.IsZero() && w.inside(parent, node) {
		return fault.Invalid("parent_code", "tree_cycle", "%s is %s or below it.", to, w.lines[node].now().Code)
	}
	w.lay(node, parent)
	return nil
}

// lay puts a node below another.
func (w *work) lay(node, parent id.Node) {
	l := w.lines[node]
	for _, end := range []id.Node{l.now().Parent, parent} {
		if !end.IsZero() && !w.lines[end].fresh() {
			w.touches[end] = true
		}
	}
	w.remove(node, l.now())
	carry(w, l, func(v *Version) *id.Node { return &v.Parent }, parent)
	w.place(node, l.now())
}

func (w *work) create(o *Operation) error {
	v := Version{Node: id.NewNode(w.RecordedAt), Code: o.Code, Name: o.Name, Kind: o.Kind, Capitalization: o.Capitalization}
	if v.Capitalization == "" {
		v.Capitalization = Expense
	}
	said := func(text *string) string {
		if text == nil {
			return ""
		}
		return *text
	}
	var err error
	if v.Parent, err = w.parent(said(o.ParentCode)); err != nil {
		return err
	}
	v.Entity, v.GLAccount = said(o.Entity), said(o.GLAccount)
	if text := said(o.Owner); text != "" {
		if v.Owner, err = id.ParseMember(text); err != nil {
			return fault.Invalid("owner", "owner_absent", "No member has the id %.60q.", text)
		}
	}
	if o.Evidence != nil {
		v.Evidence = *o.Evidence
	}
	if v.Dimensions, err = NewDimensions(o.Dimensions); err != nil {
		return inside("dimensions", err)
	}
	return w.add(v)
}

// add puts a new node into the tree.
func (w *work) add(v Version) error {
	v.EffectiveFrom = w.At
	if err := v.Validate(); err != nil {
		return err
	}
	if _, taken := w.codes[v.Code]; taken {
		return fault.Invalid("code", "code_taken", "Code %s is taken on %s.", v.Code, w.At.Format(time.DateOnly))
	}
	l := &line{before: []span{{from: w.At}}, spans: []span{{from: w.At, v: v.content(), there: true}}, turn: w.turn}
	w.lines[v.Node] = l
	w.place(v.Node, l.now())
	w.out.Created = append(w.out.Created, v.Node)
	return nil
}
