package app

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// Views is the area of what people set for exploring spend: the views they save, and
// the tag keys the tenant groups by.
type Views struct {
	db      *db.DB
	access  *Access
	changes *Changes
}

// NewViews makes the area.
func NewViews(d *db.DB, access *Access, changes *Changes) *Views {
	return &Views{db: d, access: access, changes: changes}
}

// SavedView is a view of spend under a name of its owner's. Its query is shared by its
// address: who opens that sees what they may see.
type SavedView struct {
	ID    id.View
	Name  string
	Query string
}

const (
	maxViews     = 50 // a member's
	maxViewName  = 80
	maxViewQuery = 2000
	maxTagKeys   = 5
)

var errViewAbsent = fault.New(fault.KindNotFound, "view_absent", "There is no such saved view.")

// List shows the actor's own views.
func (v *Views) List(ctx context.Context, who Actor) ([]SavedView, error) {
	if err := v.access.Check(who, "view", "propose"); err != nil {
		return nil, err
	}
	var list []SavedView
	err := v.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Views(who.Member)
		for _, r := range rows {
			list = append(list, SavedView{ID: r.ViewID, Name: r.Name, Query: r.Query})
		}
		return err
	})
	return list, err
}

// Save keeps a query under a name, for the actor alone, as one change.
func (v *Views) Save(ctx context.Context, who Actor, name, query string) (SavedView, error) {
	if err := v.changes.allowed(who, changeSavedView); err != nil {
		return SavedView{}, err
	}
	name = strings.TrimSpace(name)
	if name == "" || len(name) > maxViewName {
		return SavedView{}, fault.Invalid("name", "view_name", "A saved view needs a name of 1 to %d bytes.", maxViewName)
	}
	if _, err := url.ParseQuery(query); err != nil || len(query) > maxViewQuery {
		return SavedView{}, fault.Invalid("query", "view_query", "That is no view of spend.")
	}
	if who.Member.IsZero() {
		return SavedView{}, ErrNotAllowed
	}
	made := SavedView{Name: name, Query: query}
	err := v.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Views(who.Member)
		if err != nil {
			return err
		}
		if len(rows) >= maxViews {
			return fault.Invalid("name", "views_many", "You have %d saved views; remove one first.", maxViews)
		}
		if slices.ContainsFunc(rows, func(r db.ViewRow) bool { return strings.EqualFold(r.Name, name) }) {
			return fault.Invalid("name", "view_taken", "You have a saved view of that name.")
		}
		made.ID = id.NewView(tx.Now)
		p := proposal{kind: changeSavedView, payload: map[string]any{"view": made.ID.String(), "name": name, "query": query}, reason: "saved for oneself"}
		_, err = v.changes.change(tx, who, p, func(c approval.Change) error { return tx.AddView(made.ID, who.Member, name, query, c.ID) })
		return err
	})
	return made, err
}

// Remove lets a view of the actor's go.
func (v *Views) Remove(ctx context.Context, who Actor, view id.View) error {
	if err := v.changes.allowed(who, changeSavedViewEnd); err != nil {
		return err
	}
	return v.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		rows, err := tx.Views(who.Member)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(rows, func(r db.ViewRow) bool { return r.ViewID == view }) {
			return errViewAbsent
		}
		p := proposal{kind: changeSavedViewEnd, payload: map[string]any{"view": view.String()}, reason: "removed by its owner"}
		_, err = v.changes.change(tx, who, p, func(c approval.Change) error { return tx.RemoveView(view, c.ID) })
		return err
	})
}

// Tags lists the tag keys the tenant groups by.
func (v *Views) Tags(ctx context.Context, who Actor) ([]string, error) {
	if v.access.Check(who, "usage", "read") != nil && v.access.Check(who, "usage", "read_own") != nil {
		return nil, ErrNotAllowed
	}
	var keys []string
	err := v.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		keys, err = tx.DeclaredTags()
		return err
	})
	return keys, err
}

// DeclareTags sets the tag keys the tenant groups by, as one change.
func (v *Views) DeclareTags(ctx context.Context, who Actor, keys []string, reason string) error {
	if err := v.changes.allowed(who, changeTags); err != nil {
		return err
	}
	seen := []string{}
	for _, key := range keys {
		key = strings.TrimSpace(key)
		switch {
		case key == "" || slices.Contains(seen, key):
			continue
		case len(key) > maxTagKey || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || r == '=' || r == 0xfffd }):
			return fault.Invalid("keys", "tag_key", "A tag key has 1 to %d bytes of text, without an equals sign.", maxTagKey)
		}
		seen = append(seen, key)
	}
	if len(seen) > maxTagKeys {
		return fault.Invalid("keys", "tag_keys_many", "At most %d tag keys can be grouped by.", maxTagKeys)
	}
	return v.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		p := proposal{kind: changeTags, payload: map[string]any{"keys": seen}, reason: reason}
		_, err := v.changes.change(tx, who, p, func(c approval.Change) error { return tx.DeclareTags(seen, c.ID) })
		return err
	})
}
