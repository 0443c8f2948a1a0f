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
	"tollbook/app/usage"
	"tollbook/db"
)

// Keys is the area of virtual keys.
type Keys struct {
	db      *db.DB
	access  *Access
	changes *Changes
	ring    *secret.Keyring
	hasher  *secret.Hasher
}

// NewKeys makes the area.
func NewKeys(d *db.DB, access *Access, changes *Changes, ring *secret.Keyring) *Keys {
	k := &Keys{db: d, access: access, changes: changes, ring: ring, hasher: ring.Hasher("virtual-key")}
	k.govern()
	return k
}

// NewKey is a virtual key to be made.
type NewKey struct {
	Label      string
	CostCenter string   // its code
	Projects   []string // codes of nodes outside the cost center's subtree it may charge
	ExpiresAt  time.Time
	Models     []string `json:",omitempty"` // names, or beginnings of names followed by *; none for all
	// RequestsPerMinute bounds billed requests at each gateway replica; 0 for no limit.
	RequestsPerMinute int64 `json:",omitempty"`
}

// MadeKey is a fresh virtual key: the only time its secret is seen.
type MadeKey struct {
	ID         id.Key
	Label      string
	CostCenter string
	Secret     secret.Text `json:"-"` // stored answers carry it apart, sealed
	Change     approval.Change
}

const (
	keyPrefix            = "tbk_"
	maxKeyProjects       = 50
	maxRequestsPerMinute = 100_000
)

// Create makes a virtual key as one change; gateways accept it within a second.
func (k *Keys) Create(ctx context.Context, who Actor, want NewKey, reason string) (MadeKey, error) {
	return k.CreateOnce(ctx, who, want, reason, "")
}

// rememberedKey is a made key as a repeated request gets it: with its secret.
type rememberedKey struct {
	MadeKey
	Plain string
}

// CreateOnce is Create for a caller that may have to repeat itself: the same
// idempotency key gives the same virtual key, with its secret, for a day.
func (k *Keys) CreateOnce(ctx context.Context, who Actor, want NewKey, reason, once string) (MadeKey, error) {
	if err := k.access.Check(who, "key", "propose"); err != nil {
		return MadeKey{}, err
	}
	var made MadeKey
	err := k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		stored, err := doOnce(tx, k.ring, who, once, "key.create", map[string]any{"want": want, "reason": reason}, func() (rememberedKey, error) {
			fresh, err := k.create(tx, who, want, reason)
			return rememberedKey{MadeKey: fresh, Plain: fresh.Secret.Reveal()}, err
		})
		made = stored.MadeKey
		made.Secret = secret.NewText(stored.Plain)
		return err
	})
	return made, err
}

func (k *Keys) create(tx *db.Tx, who Actor, want NewKey, reason string) (MadeKey, error) {
	if err := want.check(tx.Now); err != nil {
		return MadeKey{}, err
	}
	if err := tx.LockNodes(); err != nil { // so that the node does not retire meanwhile
		return MadeKey{}, err
	}
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return MadeKey{}, err
	}
	node, projects, err := k.reach(tree, who, want)
	if err != nil {
		return MadeKey{}, err
	}
	if err := lasting(tx, node); err != nil {
		return MadeKey{}, err
	}
	made := MadeKey{ID: id.NewKey(tx.Now), Label: want.Label, CostCenter: want.CostCenter, Secret: secret.Mint(keyPrefix)}
	fresh := db.FreshKey{ID: made.ID, Label: want.Label, ExpiresAt: want.ExpiresAt, Models: want.Models, RequestsPerMinute: want.RequestsPerMinute}
	fresh.Hash, fresh.Hint = k.stored(made.Secret)
	p := proposal{kind: changeKey, payload: want.payload(fresh, node.Node, projects), reason: reason}
	nothing := func(approval.Change) error { return nil } // the payload has all there is
	made.Change, err = k.changes.issue(tx, who, p, nothing, func(c approval.Change) error { return k.applyKey(tx, c) })
	return made, err
}

// stored is what is kept of a secret: its keyed hash, and its end for people to know it by.
func (k *Keys) stored(plain secret.Text) (secret.Hash, string) {
	text := plain.Reveal()
	return k.hasher.Current(text), text[len(text)-4:]
}

// check tidies what was asked for and refuses what no key can be.
func (want *NewKey) check(now time.Time) error {
	want.Label = strings.TrimSpace(want.Label)
	switch {
	case want.Label == "" || usage.Clip(want.Label, 200) != want.Label:
		return fault.Invalid("label", "label_length", "A key needs a label of 1 to 200 bytes of printable text.")
	case !want.ExpiresAt.IsZero() && !want.ExpiresAt.After(now):
		return fault.Invalid("expires_at", "expires_past", "expires_at is in the past.")
	case len(want.Projects) > maxKeyProjects:
		return fault.Invalid("projects", "projects_many", "A key names at most %d projects.", maxKeyProjects)
	case want.RequestsPerMinute < 0 || want.RequestsPerMinute > maxRequestsPerMinute:
		return fault.Invalid("requests_per_minute", "requests_per_minute_range", "A limit is 1 to %d requests a minute; leave it out for none.", maxRequestsPerMinute)
	}
	var err error
	want.Models, err = checkModels(want.Models)
	return err
}

// payload is what the change says of the key: everything but its secret.
func (want *NewKey) payload(fresh db.FreshKey, node id.Node, projects []id.Node) keyPayload {
	p := keyPayload{
		Key: fresh.ID, Label: want.Label, CostCenter: want.CostCenter, Projects: append([]string{}, want.Projects...), Node: node, ProjectIDs: append([]id.Node{}, projects...),
		Hash: hex.EncodeToString(fresh.Hash[:]), Hint: fresh.Hint, Models: want.Models, RequestsPerMinute: want.RequestsPerMinute,
	}
	if !want.ExpiresAt.IsZero() {
		p.ExpiresAt = want.ExpiresAt.UTC().Format(time.RFC3339Nano)
	}
	return p
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
	_, err := k.RevokeOnce(ctx, who, key, reason, "")
	return err
}

// RevokeOnce is Revoke for a caller that may have to repeat itself.
func (k *Keys) RevokeOnce(ctx context.Context, who Actor, key id.Key, reason, once string) (KeyView, error) {
	if err := k.access.Check(who, "key", "propose"); err != nil {
		return KeyView{}, err
	}
	var ended KeyView
	err := k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		ended, err = doOnce(tx, k.ring, who, once, "key.revoke", map[string]any{"key": key, "reason": reason}, func() (KeyView, error) {
			return k.revoke(tx, who, key, reason)
		})
		return err
	})
	return ended, err
}

func (k *Keys) revoke(tx *db.Tx, who Actor, key id.Key, reason string) (KeyView, error) {
	row, tree, err := k.locked(tx, who, key)
	if err != nil {
		return KeyView{}, err
	}
	if row.RevokedAt != nil {
		return KeyView{}, errKeyRevoked
	}
	p := proposal{kind: changeKeyEnd, payload: map[string]any{"key": key.String()}, reason: reason}
	if _, err = k.changes.change(tx, who, p, func(c approval.Change) error { return tx.RevokeKey(key, reason, c.ID) }); err != nil {
		return KeyView{}, err
	}
	row.RevokedAt, row.Reason = &tx.Now, reason
	return keyView(row, tree), nil
}

// errKeyStands is the answer to who would end or rotate a key nobody holds.
var errKeyStands = fault.New(fault.KindConflict, "key_of_sign_ins", "That key stands for people who signed in. End their right to charge the cost center, or their sign-ins.")

var errKeyRevoked = fault.New(fault.KindConflict, "key_revoked", "That key is revoked already.")

// locked finds a key the actor may change and keeps others from changing it meanwhile.
func (k *Keys) locked(tx *db.Tx, who Actor, key id.Key) (db.KeyRow, *hierarchy.Tree, error) {
	if err := tx.LockKey(key); err != nil {
		return db.KeyRow{}, nil, err
	}
	row, tree, err := k.within(tx, who, key, "propose")
	if err == nil && !row.SignInNode.IsZero() {
		err = errKeyStands
	}
	return row, tree, err
}

// within finds a key in the part of the tenant an action reaches.
func (k *Keys) within(tx *db.Tx, who Actor, key id.Key, action string) (db.KeyRow, *hierarchy.Tree, error) {
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return db.KeyRow{}, nil, err
	}
	row, err := tx.Key(key)
	if err != nil {
		return db.KeyRow{}, nil, err
	}
	if scope := k.access.Scope(who, "key", action); scope != nil && !visible(tree, row.NodeID, scope) {
		return db.KeyRow{}, nil, db.ErrKeyAbsent
	}
	return row, tree, nil
}

// KeyView is a virtual key as lists show it.
type KeyView struct {
	ID                id.Key
	Label             string
	Hint              string
	CostCenter        string
	Projects          []string // codes of nodes outside the cost center's subtree
	Models            []string // empty for all
	RequestsPerMinute int64    // 0 for no limit
	ExpiresAt         time.Time
	RecordedAt        time.Time
	RevokedAt         time.Time
	Reason            string
	SignIn            bool // it stands for everybody who signed in to charge its cost center; nobody holds it
}

// KeyPage is one page of virtual keys, newest first.
type KeyPage struct {
	Rows []KeyView
	Next id.Key // zero on the last page
}

// List shows virtual keys after a cursor, at most limit (0: 100) of them.
func (k *Keys) List(ctx context.Context, who Actor, after id.Key, limit int) (KeyPage, error) {
	if err := k.access.Check(who, "key", "read"); err != nil {
		return KeyPage{}, err
	}
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, MaxRows)
	var page KeyPage
	err := k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		page = KeyPage{}
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		rows, err := tx.Keys(after, limit+1) // one more tells whether there is a next page
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			page.Next = rows[limit-1].ID
		}
		scope := k.access.Scope(who, "key", "read")
		for _, r := range rows {
			if scope == nil || visible(tree, r.NodeID, scope) {
				page.Rows = append(page.Rows, keyView(r, tree))
			}
		}
		return nil
	})
	return page, err
}

// Find shows one virtual key.
func (k *Keys) Find(ctx context.Context, who Actor, key id.Key) (KeyView, error) {
	if err := k.access.Check(who, "key", "read"); err != nil {
		return KeyView{}, err
	}
	var view KeyView
	err := k.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, tree, err := k.within(tx, who, key, "read")
		if err != nil {
			return err
		}
		view = keyView(row, tree)
		return nil
	})
	return view, err
}

func keyView(r db.KeyRow, tree *hierarchy.Tree) KeyView {
	node, _ := tree.Node(r.NodeID)
	view := KeyView{
		ID: r.ID, Label: r.Label, Hint: r.Hint, CostCenter: node.Code, RecordedAt: r.RecordedAt.UTC(), RequestsPerMinute: r.RequestsPerMinute,
		ExpiresAt: orZero(r.ExpiresAt), RevokedAt: orZero(r.RevokedAt), Reason: r.Reason, SignIn: !r.SignInNode.IsZero(),
	}
	for text := range strings.SplitSeq(r.Projects, ",") {
		if project, err := id.ParseNode(text); err == nil {
			if v, ok := tree.Node(project); ok {
				view.Projects = append(view.Projects, v.Code)
			}
		}
	}
	if r.Models != "" {
		view.Models = strings.Split(r.Models, ",")
	}
	return view
}

func orZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}

// The states of a key.
const (
	KeyActive  = "active"
	KeyExpired = "expired"
	KeyRevoked = "revoked"
)

// State is what the key is at an instant.
func (k KeyView) State(now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return KeyRevoked
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return KeyExpired
	}
	return KeyActive
}
