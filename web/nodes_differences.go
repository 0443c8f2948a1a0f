package web

import (
	"slices"
	"strings"

	"tollbook/app"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/web/ui"
)

// nodeDifference is a node that is not the same in two trees, as it is shown.
type nodeDifference struct {
	Code, Name, URL string
	What            string // created, retired, moved or changed
	Fields          []nodeField
}

// nodeField is one field of a node before and after.
type nodeField struct{ Field, Before, After string }

// maxDifferences bounds what a page shows; the file has all.
const maxDifferences = 500

// What becomes of a node from one tree to another.
const (
	nodeCreated = "created"
	nodeRetired = "retired"
	nodeMoved   = "moved"
	nodeChanged = "changed"
)

func (w *Web) fillDifferences(v *visit, view *treeView) error {
	q := &view.Query
	list, err := w.differences(v, q)
	if err != nil {
		return err
	}
	view.Compared = true
	until := "now"
	if !q.AsOf.IsZero() {
		until = ui.Minute(q.AsOf)
	}
	view.Sub = "What differs from " + ui.Minute(q.From) + " to " + until
	if !q.Known.IsZero() {
		view.Sub += ", both as known at " + ui.Minute(q.Known)
	}
	view.Sub += "."
	counts := map[string]int64{}
	for i := range list {
		counts[list[i].What]++
	}
	var words []string
	for _, what := range []string{nodeCreated, nodeMoved, nodeChanged, nodeRetired} {
		if counts[what] > 0 {
			words = append(words, ui.Count(counts[what])+" "+what)
		}
	}
	view.DifferenceWord = strings.Join(words, ", ")
	sheet := differencesSheet(list)
	view.Differences, view.MoreDifferent = list[:min(len(list), maxDifferences)], max(0, len(list)-maxDifferences)
	back := *q
	back.From, back.FromText = back.AsOf, ""
	view.Back = back.url("/nodes")
	return sheet.prints(v, &view.Frame, "/nodes.csv", treeFile(v))
}

// differences compares two dates, both as known at one instant.
func (w *Web) differences(v *visit, q *treeQuery) ([]nodeDifference, error) {
	ctx := v.Request().Context()
	found, err := w.areas.Nodes.Diff(ctx, v.who, app.TreeQuery{AsOf: q.From, Known: q.Known}, app.TreeQuery{AsOf: q.AsOf, Known: q.Known})
	if err != nil {
		return nil, err
	}
	return w.differencesOf(v, found, q.matches)
}

// differencesOf puts differences into words; only those are kept of which one side matches.
func (w *Web) differencesOf(v *visit, found []app.NodeDifference, matches func(*app.NodeView, string) bool) ([]nodeDifference, error) {
	var owners []id.Member
	for i := range found {
		for _, side := range []*app.NodeView{found[i].Before, found[i].After} {
			if side != nil {
				owners = append(owners, side.Owner)
			}
		}
	}
	names, err := w.areas.Members.Owners(v.Request().Context(), v.who, owners)
	if err != nil {
		return nil, err
	}
	linked := v.may("chargeback", "read")
	var list []nodeDifference
	for i := range found {
		d := &found[i]
		fits := func(side *app.NodeView) bool { return side != nil && matches(side, names[side.Owner]) }
		if !fits(d.Before) && !fits(d.After) {
			continue
		}
		list = append(list, differenceWords(d, names, linked))
	}
	return list, nil
}

func differenceWords(d *app.NodeDifference, names map[id.Member]string, linked bool) nodeDifference {
	shown, one := d.After, nodeDifference{What: nodeChanged}
	switch {
	case d.Before == nil:
		one.What = nodeCreated
		for _, field := range nodeFields() {
			if text := fieldText(d.After, field, names); text != "" {
				one.Fields = append(one.Fields, nodeField{Field: field, After: text})
			}
		}
	case d.After == nil:
		shown, one.What = d.Before, nodeRetired
	default:
		if slices.Contains(d.Fields, "parent_code") {
			one.What = nodeMoved
		}
		for _, field := range d.Fields {
			one.Fields = append(one.Fields, nodeField{field, fieldText(d.Before, field, names), fieldText(d.After, field, names)})
		}
	}
	one.Code, one.Name = shown.Code, shown.Name
	if linked && d.After != nil {
		one.URL = nodeURL(shown.Code)
	}
	return one
}

// nodeFields are the fields of a node in the order they are told.
func nodeFields() []string {
	return []string{"kind", "parent_code", "owner", "entity", "gl_account", "capitalization", "evidence", "dimensions"}
}

// fieldText is what a node says under a field, for people.
func fieldText(n *app.NodeView, field string, names map[id.Member]string) string {
	switch field {
	case "code":
		return n.Code
	case "name":
		return n.Name
	case "kind":
		return ui.Words(string(n.Kind))
	case "parent_code":
		if n.ParentCode == "" {
			return "at the top"
		}
		return n.ParentCode
	case "owner":
		return names[n.Owner]
	case "entity":
		return n.Entity
	case "gl_account":
		return n.GLAccount
	case "capitalization":
		return ui.Words(string(n.Capitalization))
	case "evidence":
		var words []string
		for _, e := range evidenceFacts(&n.Evidence) {
			words = append(words, lower(e.Label)+" "+e.Value)
		}
		return strings.Join(words, "; ")
	case "dimensions":
		return strings.Join(dimensionLines(n.Dimensions), "; ")
	}
	return ""
}

// nodeFieldWords names a field for people.
func nodeFieldWords(field string) string {
	switch field {
	case "parent_code":
		return "parent"
	case "gl_account":
		return "GL account"
	case "dimensions":
		return "ERP dimensions"
	}
	return strings.ReplaceAll(field, "_", " ")
}

// evidenceFacts are what evidence says, in the order an auditor asks.
func evidenceFacts(e *hierarchy.Evidence) []ui.Fact {
	var list []ui.Fact
	add := func(label, value string) {
		if value != "" {
			list = append(list, ui.Fact{Label: label, Value: value})
		}
	}
	add("Standard", standardWords(e.Standard))
	add("Category", ui.Words(string(e.Category)))
	add("Authorized on", e.AuthorizedOn)
	add("Authorization", e.AuthorizationDocument)
	add("Funding", e.FundingCommitment)
	if e.Uncertain {
		add("Uncertainty", "significant development uncertainty remains")
	}
	add("Started on", e.StartedOn)
	add("Ready for use on", e.ReadyForUseOn)
	add("In service on", e.InServiceOn)
	if e.CapitalizableBps > 0 {
		add("Capitalizable", shareOf(e.CapitalizableBps*100))
	}
	return list
}

func standardWords(s hierarchy.Standard) string {
	switch s {
	case hierarchy.StandardASU202506:
		return "ASU 2025-06"
	case hierarchy.StandardASC35040:
		return "ASC 350-40"
	case hierarchy.StandardIAS38:
		return "IAS 38"
	}
	return string(s)
}

// dimensionLines are a node's codes in ERP systems, as a form takes them.
func dimensionLines(d hierarchy.Dimensions) []string {
	var lines []string
	codes := d.Codes()
	for _, system := range hierarchy.Systems() {
		var names []string
		for name := range codes[system] {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			lines = append(lines, system+"."+name+" = "+codes[system][name])
		}
	}
	return lines
}

func differencesSheet(list []nodeDifference) *sheet {
	out := newSheet("code", "name", "what", "field", "before", "after")
	for i := range list {
		d := &list[i]
		fields := d.Fields
		if len(fields) == 0 {
			fields = []nodeField{{}}
		}
		for _, f := range fields {
			_ = out.Write([]string{cell(d.Code), cell(d.Name), d.What, f.Field, cell(f.Before), cell(f.After)})
		}
	}
	return out
}
