package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// FoundDeveloper is a developer by a label of theirs.
type FoundDeveloper struct {
	ID       id.Developer
	Label    string
	Verified bool
}

// Found is what a text leads to among what the actor may see.
type Found struct {
	Requests   []Request // by our id or the provider's
	Session    string    // a Claude Code session of that id
	Nodes      []NodeView
	Keys       []KeyView
	Developers []FoundDeveloper
}

// Bounds of searching.
const (
	MaxSearch       = 200  // bytes of a text
	foundShown      = 20   // of a kind
	searchedLabels  = 5000 // developers whose labels are opened
	searchedAtLeast = 2    // characters of what is looked for within names
)

// Search finds nodes, keys, developers, requests and sessions by a text. What is not
// the actor's to see is not found.
func (r *Reports) Search(ctx context.Context, who Actor, text string) (Found, error) {
	var found Found
	text = strings.TrimSpace(text)
	if _, err := r.filter(who, RequestFilter{}); err != nil || text == "" {
		return found, err
	}
	if len(text) > MaxSearch {
		return found, fault.Invalid("q", "search_length", "Search for at most %d bytes.", MaxSearch)
	}
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.LimitStatements(readLimit); err != nil {
			return err
		}
		if err := r.findRequests(tx, who, text, &found); err != nil {
			return err
		}
		if len([]rune(text)) < searchedAtLeast {
			return nil
		}
		if err := r.findNamed(tx, who, text, &found); err != nil {
			return err
		}
		return r.findDevelopers(tx, who, text, &found)
	})
	return found, err
}

// findRequests looks for exactly that id: of ours, of the provider's, of a session.
func (r *Reports) findRequests(tx *db.Tx, who Actor, text string, found *Found) error {
	f := RequestFilter{RequestID: text, Limit: foundShown}
	if event, err := id.ParseEvent(text); err == nil {
		f = RequestFilter{Event: event, Limit: 1}
	}
	filter, err := r.filter(who, f)
	if err != nil {
		return err
	}
	rows, err := tx.Usage(filter)
	if err != nil {
		return err
	}
	if found.Requests, err = r.requests(tx, rows[:min(len(rows), foundShown)], filter.Within); err != nil {
		return err
	}
	if filter, err = r.filter(who, RequestFilter{Session: text, Limit: 1}); err != nil {
		return err
	}
	if rows, err = tx.Usage(filter); err == nil && len(rows) > 0 {
		found.Session = text
	}
	return err
}

// findNamed looks for nodes by code and name, and for keys by label.
func (r *Reports) findNamed(tx *db.Tx, who Actor, text string, found *Found) error {
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return err
	}
	if r.access.Check(who, "node", "read") == nil {
		scope := r.access.Scope(who, "node", "read")
		for _, v := range tree.All() {
			named := contains(v.Code, text) || contains(v.Name, text) || v.Node.String() == text
			if named && len(found.Nodes) < foundShown && (scope == nil || visible(tree, v.Node, scope)) {
				found.Nodes = append(found.Nodes, NodeView{Version: v, Path: tree.Path(v.Node), Depth: tree.Depth(v.Node)})
			}
		}
	}
	if r.access.Check(who, "key", "read") != nil {
		return nil //nolint:nilerr // who may not read keys finds none
	}
	rows, err := tx.FindKeys(text, MaxRows)
	if err != nil {
		return err
	}
	if key, err := id.ParseKey(text); err == nil && !key.IsZero() {
		if row, err := tx.Key(key); err == nil {
			rows = append(rows, row)
		}
	}
	scope := r.access.Scope(who, "key", "read")
	for _, row := range rows {
		if len(found.Keys) < foundShown && (scope == nil || visible(tree, row.NodeID, scope)) {
			found.Keys = append(found.Keys, keyView(row, tree))
		}
	}
	return nil
}

// findDevelopers opens labels to look into them: they are stored sealed.
func (r *Reports) findDevelopers(tx *db.Tx, who Actor, text string, found *Found) error {
	var rows []db.DeveloperRow
	var err error
	switch {
	case r.access.Check(who, "usage", "read") == nil:
		rows, err = tx.SeenDevelopers(r.access.Scope(who, "usage", "read"), searchedLabels)
	case !who.Developer.IsZero():
		rows, err = tx.Developers([]string{who.Developer.UUID()})
	}
	if err != nil {
		return err
	}
	for _, row := range rows {
		label := r.labels.Open(row.DeveloperID, row.LabelSealed)
		if label != "" && (contains(label, text) || row.DeveloperID.String() == text) {
			found.Developers = append(found.Developers, FoundDeveloper{ID: row.DeveloperID, Label: label, Verified: row.Verified})
		}
	}
	slices.SortFunc(found.Developers, func(a, b FoundDeveloper) int {
		return strings.Compare(strings.ToLower(a.Label), strings.ToLower(b.Label))
	})
	found.Developers = found.Developers[:min(len(found.Developers), foundShown)]
	return nil
}

// contains ignores case.
func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}
