package app

import (
	"context"
	"encoding/hex"
	"strings"
	"time"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/hierarchy"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/db"
)

// Keys is the area of virtual keys.
type Keys struct {
	db      *db.DB
	access  *Access
	changes *Changes
	hasher  *secret.Hasher
}

// NewKeys makes the area.
func NewKeys(d *db.DB, access *Access, changes *Changes, ring *secret.Keyring) *Keys {
	return &Keys{db: d, access: access, changes: changes, hasher: ring.Hasher("virtual-key")}
}

// NewKey is a virtual key to be made.
type NewKey struct {
	Label      string
	CostCenter string   // its code
	Projects   []string // codes of nodes outside the cost center's subtree it may charge
	ExpiresAt  time.Time
}

// MadeKey is a fresh virtual key: the only time its secret is seen.
type MadeKey struct {
	ID         id.Key
	Label      string
	CostCenter string
	Secret     secret.Text
	Change     approval.Change
}

const (
	keyPrefix      = "tbk_"
	maxKeyProjects = 50
)

// Create makes a virtual key as one change; gateways accept it within a second.
func (k *Keys) Create(ctx context.Context, who Actor, want NewKey, reason string) (MadeKey, error) {
	var made MadeKey
	err := k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		made, err = k.create(tx, who, want, reason)
		return err
	})
	return made, err
}

func (k *Keys) create(tx *db.Tx, who Actor, want NewKey, reason string) (MadeKey, error) {
	want.Label = strings.TrimSpace(want.Label)
	switch {
	case want.Label == "" || len(want.Label) > 200:
		return MadeKey{}, fault.Invalid("label", "label_length", "A key needs a label of 1 to 200 bytes.")
	case !want.ExpiresAt.IsZero() && !want.ExpiresAt.After(tx.Now):
		return MadeKey{}, fault.Invalid("expires_at", "expires_past", "expires_at is in the past.")
	case len(want.Projects) > maxKeyProjects:
		return MadeKey{}, fault.Invalid("projects", "projects_many", "A key names at most %d projects.", maxKeyProjects)
	}
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return MadeKey{}, err
	}
	node, projects, err := k.reach(tree, who, want)
	if err != nil {
		return MadeKey{}, err
	}
	made := MadeKey{ID: id.NewKey(tx.Now), Label: want.Label, CostCenter: want.CostCenter, Secret: secret.Mint(keyPrefix)}
	plain := made.Secret.Reveal()
	hash, hint := k.hasher.Current(plain), plain[len(plain)-4:]
	payload := map[string]any{
		"key": made.ID.String(), "label": want.Label, "cost_center": want.CostCenter, "projects": want.Projects,
		"key_hash": hex.EncodeToString(hash[:]), "hint": hint,
	}
	if !want.ExpiresAt.IsZero() {
		payload["expires_at"] = want.ExpiresAt.UTC().Format(time.RFC3339)
	}
	p := proposal{kind: changeKey, payload: payload, reason: reason}
	made.Change, err = k.changes.change(tx, who, p, func(c approval.Change) error {
		if err := tx.AddKey(made.ID, want.Label, hint, hash, want.ExpiresAt, c.ID); err != nil {
			return err
		}
		return tx.AssignKey(id.NewVersion(tx.Now), made.ID, node.Node, projects, c.EffectiveFrom, c.ID)
	})
	return made, err
}

// reach resolves what a key may charge and refuses what lies outside the maker's
// own subtrees.
func (k *Keys) reach(tree *hierarchy.Tree, who Actor, want NewKey) (hierarchy.Version, []id.Node, error) {
	scope := k.access.Scope(who, "key", "propose")
	node, ok := tree.Code(want.CostCenter)
	if !ok || (scope != nil && !visible(tree, node.Node, scope)) {
		return hierarchy.Version{}, nil, fault.Invalid("cost_center", "cost_center_absent", "No cost center has code %.60q.", want.CostCenter)
	}
	var projects []id.Node
	for _, code := range want.Projects {
		project, ok := tree.Code(code)
		if !ok || (scope != nil && !visible(tree, project.Node, scope)) {
			return hierarchy.Version{}, nil, fault.Invalid("projects", "project_absent", "No project has code %.60q.", code)
		}
		projects = append(projects, project.Node)
	}
	return node, projects, nil
}

// Revoke ends a key; gateways refuse it within a second.
func (k *Keys) Revoke(ctx context.Context, who Actor, key id.Key, reason string) error {
	return k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := tx.Key(key)
		if err != nil {
			return err
		}
		if row.RevokedAt != nil {
			return fault.New(fault.KindConflict, "key_revoked", "That key is revoked already.")
		}
		p := proposal{kind: changeKeyEnd, payload: map[string]any{"key": key.String()}, reason: reason}
		_, err = k.changes.change(tx, who, p, func(c approval.Change) error { return tx.RevokeKey(key, reason, c.ID) })
		return err
	})
}

// KeyView is a virtual key as lists show it.
type KeyView struct {
	ID         id.Key
	Label      string
	Hint       string
	CostCenter string
	ExpiresAt  time.Time
	RecordedAt time.Time
	RevokedAt  time.Time
	Reason     string
}

// List shows virtual keys, newest first, after a cursor.
func (k *Keys) List(ctx context.Context, who Actor, after id.Key, limit int) ([]KeyView, error) {
	if err := k.access.Check(who, "key", "read"); err != nil {
		return nil, err
	}
	var list []KeyView
	err := k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		rows, err := tx.Keys(after, limit)
		for _, r := range rows {
			node, _ := tree.Node(r.NodeID)
			list = append(list, KeyView{
				ID: r.ID, Label: r.Label, Hint: r.Hint, CostCenter: node.Code, RecordedAt: r.RecordedAt,
				ExpiresAt: orZero(r.ExpiresAt), RevokedAt: orZero(r.RevokedAt), Reason: r.Reason,
			})
		}
		return err
	})
	return list, err
}

func orZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}
