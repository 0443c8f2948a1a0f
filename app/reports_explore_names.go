package app

import (
	"maps"
	"slices"
	"time"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/db"
)

// namer turns the database's groups into the question's, with names for people.
type namer struct {
	level  int
	floors [][]id.Node // nothing above these is named: what the reader may see, the chosen node
	places map[id.Placement]placed
	tree   *hierarchy.Tree
	labels map[string][2]string // database text to printed id and label
	groups map[string]ExploreGroup
}

func (r *Reports) namer(tx *db.Tx, e *Exploration, rows []db.Explored, f db.UsageFilter) (*namer, error) {
	n := &namer{level: e.Level, floors: [][]id.Node{f.Within, {f.Node}}, labels: map[string][2]string{}, groups: map[string]ExploreGroup{}}
	var err error
	if n.places, err = placements(tx); err != nil {
		return nil, err
	}
	if n.tree, err = treeAt(tx, time.Time{}); err != nil {
		return nil, err
	}
	for i, dimension := range []string{e.By, e.And} {
		if dimension != DimensionDeveloper && dimension != DimensionKey {
			continue
		}
		seen := map[string]bool{}
		var groups []db.SumRow
		for j := range rows {
			text := []string{rows[j].A, rows[j].B}[i]
			if text != "" && !seen[text] {
				seen[text] = true
				groups = append(groups, db.SumRow{Group: text})
			}
		}
		labels, err := r.groupLabels(tx, dimension, groups)
		if err != nil {
			return nil, err
		}
		maps.Copy(n.labels, labels)
	}
	return n, nil
}

// group names one value of a dimension.
func (n *namer) group(dimension, text string) ExploreGroup {
	known, ok := n.groups[dimension+"\x00"+text]
	if !ok {
		known = n.name(dimension, text)
		n.groups[dimension+"\x00"+text] = known
	}
	return known
}

func (n *namer) name(dimension, text string) ExploreGroup {
	switch dimension {
	case DimensionNone, DimensionClass:
		return ExploreGroup{}
	case DimensionNode:
		return n.node(text)
	case DimensionProject:
		return n.project(text)
	case DimensionDeveloper:
		if text == "" {
			return ExploreGroup{Key: Undeclared, Label: "Undeclared"}
		}
	case DimensionModel:
		return ExploreGroup{Key: text, Label: text}
	case DimensionDay, DimensionWeek, DimensionMonth:
		return stretchOf(dimension, text)
	case DimensionKey:
	default:
		if text == "" {
			return ExploreGroup{Label: "Without this tag"}
		}
		return ExploreGroup{Key: text, Label: text}
	}
	label := n.labels[text]
	return ExploreGroup{Key: label[0], Label: label[1]}
}

func stretchOf(dimension, text string) ExploreGroup {
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return ExploreGroup{Key: text, Label: text}
	}
	switch dimension {
	case DimensionWeek:
		day = day.AddDate(0, 0, -(int(day.Weekday())+6)%7)
		return ExploreGroup{Key: day.Format(time.DateOnly), Label: "Week of " + day.Format("2 Jan 2006")}
	case DimensionMonth:
		day = day.AddDate(0, 0, 1-day.Day())
		return ExploreGroup{Key: day.Format(time.DateOnly), Label: day.Format("January 2006")}
	}
	return ExploreGroup{Key: day.Format(time.DateOnly), Label: day.Format("2 Jan 2006")}
}

// node is the ancestor of a placement at the chosen level, or the placement's own node
// where it lies above that; never one above what the reader may see.
func (n *namer) node(text string) ExploreGroup {
	placement, err := id.ParsePlacement(text)
	at, ok := n.places[placement]
	if err != nil || !ok || len(at.ancestors) == 0 {
		return ExploreGroup{Label: "Nowhere"}
	}
	place := len(at.ancestors) - 1
	if n.level > 0 {
		place = min(place, n.level-1)
	}
	for _, floor := range n.floors {
		place = max(place, slices.IndexFunc(at.ancestors, func(a id.Node) bool { return slices.Contains(floor, a) }))
	}
	g := n.named(at.ancestors[place], at)
	// Below a node at its level everything is its own; above it, what is below is apart.
	g.Apart = n.level == 0 && n.hasBelow(at.ancestors[place]) || n.level > 0 && place < n.level-1 && n.hasBelow(at.ancestors[place])
	if g.Apart {
		g.Label += ", itself"
	}
	return g
}

// hasBelow tells whether anything was ever placed below a node.
func (n *namer) hasBelow(node id.Node) bool {
	for _, p := range n.places {
		if p.node != node && slices.Contains(p.ancestors, node) {
			return true
		}
	}
	return false
}

func (n *namer) named(node id.Node, at placed) ExploreGroup {
	if v, ok := n.tree.Node(node); ok {
		return ExploreGroup{Key: v.Code, Label: v.Code + " " + v.Name}
	}
	if node == at.node {
		return ExploreGroup{Key: node.String(), Label: at.code + " (retired)"}
	}
	return ExploreGroup{Key: node.String(), Label: "A retired node"}
}

// project is the innermost project a placement lies in.
func (n *namer) project(text string) ExploreGroup {
	placement, err := id.ParsePlacement(text)
	at := n.places[placement]
	if err == nil {
		for _, node := range slices.Backward(at.ancestors) {
			if v, ok := n.tree.Node(node); ok && v.Kind == hierarchy.KindProject {
				return n.named(node, at)
			}
		}
	}
	return ExploreGroup{Label: "On no project"}
}
