package hierarchy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// merge lets another node take a node's place.
func (w *work) merge(o *Operation, node id.Node) error {
	into, err := w.find("into", o.Into)
	if err != nil {
		return err
	}
	if w.inside(into, node) {
		return fault.Invalid("into", "merge_below", "%s is %s or below it: what is left cannot be part of what goes.", o.Into, o.Code)
	}
	parent := into
	if o.Children == ChildrenStay {
		parent = w.lines[node].now().Parent
	}
	for _, child := range w.below(node) {
		w.lay(child, parent)
	}
	return w.leave(node, into)
}

// retire takes a node out of the tree.
func (w *work) retire(o *Operation, node id.Node) error {
	children := w.below(node)
	if o.Children == "" && len(children) > 0 {
		return fault.Invalid("children", "children_live", "%s has %d children on %s: %s. Say whether they stay or retire with it.",
			o.Code, len(children), w.At.Format(time.DateOnly), w.codesOf(children))
	}
	going := []id.Node{}
	if o.Children == ChildrenRetire {
		going = w.under(node)
	} else {
		for _, child := range children {
			w.lay(child, w.lines[node].now().Parent)
		}
	}
	var keys id.Node
	if o.KeysTo != "" {
		var err error
		if keys, err = w.find("keys_to", o.KeysTo); err != nil {
			return err
		}
		if keys == node || slices.Contains(going, keys) {
			return fault.Invalid("keys_to", "keys_to_gone", "%s retires, too.", o.KeysTo)
		}
	}
	for _, one := range slices.Backward(going) {
		if w.lines[one].now().Code == SuspenseCode {
			return fault.Invalid("children", "suspense_stays", "%s is below %s. It stays as it is.", SuspenseCode, o.Code)
		}
		if err := w.leave(one, keys); err != nil {
			return err
		}
	}
	return w.leave(node, keys)
}

// split puts several new nodes in a node's place.
func (w *work) split(o *Operation, node id.Node) error {
	was, children := *w.lines[node].now(), w.below(node)
	named := map[string]id.Node{}
	for _, child := range children {
		code := w.lines[child].now().Code
		if o.ChildrenTo[code] == "" {
			return fault.Invalid("children_to", "child_unassigned", "Say below which of the new nodes %s goes.", code)
		}
		named[code] = child
	}
	for _, code := range slices.Sorted(maps.Keys(o.ChildrenTo)) {
		if named[code].IsZero() {
			return fault.Invalid("children_to", "node_absent", "%.60q is no child of %s at that time.", code, o.Code)
		}
	}
	if err := w.clear(node); err != nil {
		return err
	}
	fresh := map[string]id.Node{}
	for i := range o.Nodes {
		v := o.Nodes[i].of(was)
		v.Node = id.NewNode(w.RecordedAt)
		if err := w.add(v); err != nil {
			return inside("nodes["+strconv.Itoa(i)+"]", err)
		}
		fresh[v.Code] = v.Node
	}
	for _, code := range slices.Sorted(maps.Keys(named)) {
		to, ok := fresh[o.ChildrenTo[code]]
		if !ok {
			return fault.Invalid("children_to", "part_absent", "%.60q is none of the new nodes.", o.ChildrenTo[code])
		}
		w.lay(named[code], to)
	}
	var keys id.Node
	if o.KeysTo != "" {
		if keys = fresh[o.KeysTo]; keys.IsZero() {
			return fault.Invalid("keys_to", "part_absent", "%.60q is none of the new nodes.", o.KeysTo)
		}
	}
	w.out.Leaving = append(w.out.Leaving, Leaving{Node: node, Code: was.Code, KeysTo: keys, Operation: w.turn})
	return nil
}

// of is a part of a node that is split: what it does not say it has from the whole.
func (p *Part) of(whole Version) Version {
	v := whole.content()
	v.Code, v.Name = p.Code, p.Name
	if p.Owner != nil {
		v.Owner, _ = id.ParseMember(*p.Owner) // Validate read it; empty is nobody
	}
	if p.Entity != nil {
		v.Entity = *p.Entity
	}
	if p.GLAccount != nil {
		v.GLAccount = *p.GLAccount
	}
	if p.Capitalization != "" {
		v.Capitalization = p.Capitalization
	}
	if p.Evidence != nil {
		v.Evidence = *p.Evidence
	}
	return v
}

// leave takes a node out of the tree and notes where its keys go.
func (w *work) leave(node, keys id.Node) error {
	code := w.lines[node].now().Code
	if err := w.clear(node); err != nil {
		return err
	}
	w.out.Leaving = append(w.out.Leaving, Leaving{Node: node, Code: code, KeysTo: keys, Operation: w.turn})
	return nil
}

// clear ends a node at the instant. Where a later version changes it, somebody decided so:
// that is not undone without a word.
func (w *work) clear(node id.Node) error {
	l := w.lines[node]
	for i, s := range l.spans[1:] {
		if s.there && !alike(s, l.spans[i]) {
			return fault.Invalid("code", "later_change", "%s changes again on %s by a decision that stands. Let it retire then or later.",
				l.now().Code, s.from.Format("2006-01-02 15:04 MST"))
		}
	}
	w.remove(node, l.now())
	l.spans, l.turn = []span{{from: w.At}}, w.turn
	return nil
}

// check builds the tree at every instant from which it differs and names the operation
// that breaks it.
func (w *work) check() error {
	timelines := make([][]span, 0, len(w.lines))
	for _, l := range w.lines {
		timelines = append(timelines, l.spans)
	}
	instants := starts(timelines...)
	if len(instants) > maxInstants {
		return fault.New(fault.KindConflict, "instants_many", "More changes of the hierarchy wait for their day than can be kept. Let some pass first.")
	}
	for _, instant := range instants {
		t := &Tree{AsOf: instant, nodes: make(map[id.Node]Version, len(w.lines)), codes: make(map[string]id.Node, len(w.lines))}
		for node, l := range w.lines {
			if s := at(l.spans, instant); s.there {
				t.nodes[node] = s.v
			}
		}
		if f := t.assemble(); f != nil {
			return w.blame(t, f)
		}
	}
	return nil
}

// blame finds the last operation that had to do with a flaw.
func (w *work) blame(t *Tree, f *flaw) error {
	last := w.lines[f.node].turn
	for node, v := range t.nodes {
		if v.Code == t.nodes[f.node].Code {
			last = max(last, w.lines[node].turn)
		}
	}
	up := f.node
	for range maxDepth {
		if l := w.lines[up]; l != nil {
			last = max(last, l.turn)
			up = t.nodes[up].Parent
		}
	}
	if last < 0 {
		return f.fault
	}
	return within(last, f.fault)
}

// settle turns the lines that differ into versions.
func (w *work) settle() {
	changed := make([]id.Node, 0, len(w.lines))
	for node, l := range w.lines {
		if l.turn >= 0 {
			changed = append(changed, node)
		}
	}
	// In the order of the operations, so that one change always makes the same versions.
	slices.SortFunc(changed, func(a, b id.Node) int {
		return cmp.Or(cmp.Compare(w.lines[a].turn, w.lines[b].turn), cmp.Compare(w.lines[a].now().Code, w.lines[b].now().Code), cmp.Compare(a.UUID(), b.UUID()))
	})
	for _, node := range changed {
		l := w.lines[node]
		closings, added := settle(l.versions, l.before, l.spans)
		w.out.Close = append(w.out.Close, closings...)
		for _, v := range added {
			v.ID, v.Node, v.Change, v.RecordedAt = id.NewVersion(w.RecordedAt), node, w.Change, w.out.RecordedAt
			if !v.EffectiveTo.IsZero() {
				v.ClosedAt = v.RecordedAt
			}
			w.out.Add = append(w.out.Add, v)
		}
	}
	for node := range w.touches {
		w.out.Touches = append(w.out.Touches, node)
	}
	slices.SortFunc(w.out.Touches, func(a, b id.Node) int { return cmp.Compare(a.UUID(), b.UUID()) })
}
