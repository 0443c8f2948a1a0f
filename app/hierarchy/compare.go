package hierarchy

import (
	"slices"
	"strings"
	"time"

	"tollbook/app/id"
)

// Difference is a node that is not the same in two trees.
type Difference struct {
	Node id.Node
	// Before and After are nil where the node is not in that tree.
	Before, After *Version
	// Fields are those that differ, by the name the API gives them; empty for a node that
	// came or went. parent_code stands for a move, not for a parent's new code.
	Fields []string
}

// Diff compares two trees: of two dates, or one date as known at two instants. Nodes that
// are in the second come first, in its order.
func Diff(before, after *Tree) []Difference {
	var list []Difference
	for _, v := range after.All() {
		old, there := before.Node(v.Node)
		if !there {
			list = append(list, Difference{Node: v.Node, After: &v})
			continue
		}
		if fields := Changed(old, v); len(fields) > 0 {
			list = append(list, Difference{Node: v.Node, Before: &old, After: &v, Fields: fields})
		}
	}
	for _, v := range before.All() {
		if _, there := after.Node(v.Node); !there {
			list = append(list, Difference{Node: v.Node, Before: &v})
		}
	}
	return list
}

// Changed lists the fields in which two versions of a node differ.
func Changed(a, b Version) []string {
	var fields []string
	for _, f := range []struct {
		name    string
		differs bool
	}{
		{"code", a.Code != b.Code},
		{"name", a.Name != b.Name},
		{"kind", a.Kind != b.Kind},
		{"parent_code", a.Parent != b.Parent},
		{"owner", a.Owner != b.Owner},
		{"entity", a.Entity != b.Entity},
		{"gl_account", a.GLAccount != b.GLAccount},
		{"capitalization", a.Capitalization != b.Capitalization},
		{"evidence", a.Evidence != b.Evidence},
		{"dimensions", a.Dimensions != b.Dimensions},
	} {
		if f.differs {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// Moment is what a node was, is or will be for a span of its life, as now known.
type Moment struct {
	From, To time.Time // To is zero for good
	// There is false for a span in which the node is not in the tree.
	There   bool
	Version Version
	// Fields are those that differ from the moment before; empty for the first.
	Fields []string
}

// Timeline lays a node's life end to end as known at an instant (zero: now), oldest first.
func Timeline(versions []Version, node id.Node, known time.Time) []Moment {
	own := Records(versions, node)
	own = slices.DeleteFunc(own, func(v Version) bool { return after(v.RecordedAt, known) })
	if len(own) == 0 {
		return nil
	}
	first := slices.MinFunc(own, func(a, b Version) int { return a.EffectiveFrom.Compare(b.EffectiveFrom) }).EffectiveFrom
	spans := resolve(own, first, known)
	list := make([]Moment, 0, len(spans))
	for i, s := range spans {
		m := Moment{From: s.from, There: s.there, Version: s.v}
		if i+1 < len(spans) {
			m.To = spans[i+1].from
		}
		if i > 0 && s.there && spans[i-1].there {
			if m.Fields = Changed(spans[i-1].v, s.v); len(m.Fields) == 0 {
				list[len(list)-1].To = m.To // recorded anew, the same in substance
				continue
			}
		}
		list = append(list, m)
	}
	return list
}

// Records are all versions of a node in the order they were recorded, those that later
// ones corrected among them.
func Records(versions []Version, node id.Node) []Version {
	var own []Version
	for i := range versions {
		if versions[i].Node == node {
			own = append(own, versions[i])
		}
	}
	slices.SortFunc(own, func(a, b Version) int {
		if order := a.RecordedAt.Compare(b.RecordedAt); order != 0 {
			return order
		}
		return strings.Compare(a.ID.UUID(), b.ID.UUID())
	})
	return own
}

// Replayed is where what is charged to a node lands without a change and with it.
type Replayed struct {
	Before, After Placement
	Gone          bool // the node retires; After is where its keys go, or suspense
}

// Moved tells whether a charge is booked differently: at another node, below others, in
// another entity or under another treatment. A new code or name moves nothing.
func (r *Replayed) Moved() bool {
	return r.Before.Capitalization != r.After.Capitalization || r.Before.Entity != r.After.Entity || r.Relocated()
}

// Relocated tells whether a charge lands at another node or below others.
func (r *Replayed) Relocated() bool { return !slices.Equal(r.Before.Ancestors, r.After.Ancestors) }

// Replay places what is charged to each node of a tree again on the tree that a change
// makes of it. Nodes that retire are followed to where their keys go.
func Replay(before, after *Tree, leaving []Leaving) (map[id.Node]Replayed, error) {
	follow := make(map[id.Node]id.Node, len(leaving))
	for _, l := range leaving {
		follow[l.Node] = l.KeysTo
	}
	suspense, _ := after.Code(SuspenseCode)
	all := make(map[id.Node]Replayed, len(before.order))
	for _, node := range before.order {
		r := Replayed{}
		to := node
		for range len(leaving) + 1 {
			next, left := follow[to]
			if !left {
				break
			}
			r.Gone, to = true, next
		}
		if _, there := after.Node(to); !there {
			r.Gone, to = true, suspense.Node
		}
		var err error
		if r.Before, err = before.Place(node); err != nil {
			return nil, err
		}
		if r.After, err = after.Place(to); err != nil {
			return nil, err
		}
		all[node] = r
	}
	return all, nil
}
