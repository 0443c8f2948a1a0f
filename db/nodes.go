package db

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"tollbook/app/hierarchy"
	"tollbook/app/id"
)

type nodeVersionRow struct {
	TenantID       id.Tenant
	VersionID      id.Version
	NodeID         id.Node
	Code           string
	Name           string
	Kind           string
	ParentID       id.Node
	OwnerID        id.Member
	Entity         string
	GLAccount      string `gorm:"column:gl_account"`
	Capitalization string
	Evidence       []byte // canonical; null for none
	Dimensions     []byte // canonical; null for none
	Retired        bool
	EffectiveFrom  time.Time
	EffectiveTo    *time.Time
	RecordedAt     time.Time
	ClosedAt       *time.Time
	ChangeID       id.Change
}

func (r *nodeVersionRow) version() (hierarchy.Version, error) {
	var evidence hierarchy.Evidence
	if len(r.Evidence) > 0 {
		if err := json.Unmarshal(r.Evidence, &evidence); err != nil {
			return hierarchy.Version{}, fmt.Errorf("read evidence of version %s: %w", r.VersionID, err)
		}
	}
	return hierarchy.Version{
		Evidence: evidence, Dimensions: hierarchy.Dimensions(r.Dimensions), Retired: r.Retired,
		ID: r.VersionID, Node: r.NodeID, Code: r.Code, Name: r.Name, Kind: hierarchy.Kind(r.Kind), Parent: r.ParentID, Owner: r.OwnerID,
		Entity: r.Entity, GLAccount: r.GLAccount, Capitalization: hierarchy.Capitalization(r.Capitalization),
		EffectiveFrom: r.EffectiveFrom.UTC(), EffectiveTo: instant(r.EffectiveTo), RecordedAt: r.RecordedAt.UTC(),
		ClosedAt: instant(r.ClosedAt), Change: r.ChangeID,
	}, nil
}

func instant(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}

// NodeVersions reads every version of every node, as the tree needs them.
func (t *Tx) NodeVersions() ([]hierarchy.Version, error) {
	var rows []nodeVersionRow
	if err := t.scan("read nodes", &rows, `select * from node_version where tenant_id = ? order by recorded_at, version_id`, t.Tenant); err != nil {
		return nil, err
	}
	list := make([]hierarchy.Version, 0, len(rows))
	for i := range rows {
		v, err := rows[i].version()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// LockNodes makes this transaction the only one that changes the tenant's tree.
func (t *Tx) LockNodes() error {
	return t.exec("lock hierarchy", `select pg_advisory_xact_lock(hashtextextended('nodes:' || $1, 0))`, t.Tenant.UUID())
}

// AddNodes records that nodes exist.
func (t *Tx) AddNodes(nodes []id.Node) error {
	return t.exec("add nodes", `insert into node (tenant_id, node_id, recorded_at) select $1, n::uuid, $2 from unnest($3::text[]) as n`, t.Tenant, t.Now, uuids(nodes))
}

func uuids[K id.Kind](ids []id.Of[K]) []string {
	list := make([]string, 0, len(ids))
	for _, one := range ids {
		list = append(list, one.UUID())
	}
	return list
}

// nodeVersionDocument is a version as it is handed to the database, so that thousands are
// one statement.
type nodeVersionDocument struct {
	Version        string     `json:"version_id"`
	Node           string     `json:"node_id"`
	Code           string     `json:"code"`
	Name           string     `json:"name"`
	Kind           string     `json:"kind"`
	Parent         *string    `json:"parent_id"`
	Owner          *string    `json:"owner_id"`
	Entity         string     `json:"entity"`
	GLAccount      string     `json:"gl_account"`
	Capitalization string     `json:"capitalization"`
	Evidence       *string    `json:"evidence"`
	Dimensions     *string    `json:"dimensions"`
	Retired        bool       `json:"retired"`
	EffectiveFrom  time.Time  `json:"effective_from"`
	EffectiveTo    *time.Time `json:"effective_to"`
	RecordedAt     time.Time  `json:"recorded_at"`
	ClosedAt       *time.Time `json:"closed_at"`
	Change         string     `json:"change_id"`
}

// AddNodeVersions records how nodes are from an instant on, or for a span.
func (t *Tx) AddNodeVersions(versions []hierarchy.Version) error {
	documents := make([]nodeVersionDocument, 0, len(versions))
	for i := range versions {
		v := &versions[i]
		if !utf8.ValidString(v.Name + v.Entity + v.GLAccount) {
			return ErrRowRefused // JSON would let a replacement character through
		}
		documents = append(documents, nodeVersionDocument{
			Version: v.ID.UUID(), Node: v.Node.UUID(), Code: v.Code, Name: v.Name, Kind: string(v.Kind), Parent: uuidOrNil(v.Parent), Owner: uuidOrNil(v.Owner),
			Entity: v.Entity, GLAccount: v.GLAccount, Capitalization: string(v.Capitalization),
			Evidence: textOrNil(string(v.Evidence.Canonical())), Dimensions: textOrNil(string(v.Dimensions)), Retired: v.Retired,
			EffectiveFrom: v.EffectiveFrom, EffectiveTo: optional(v.EffectiveTo), RecordedAt: v.RecordedAt, ClosedAt: optional(v.ClosedAt), Change: v.Change.UUID(),
		})
	}
	rows, err := json.Marshal(documents)
	if err != nil {
		return fmt.Errorf("write node versions: %w", err)
	}
	return t.exec("add node versions", `insert into node_version (tenant_id, version_id, node_id, code, name, kind, parent_id, owner_id, entity, gl_account,
		capitalization, evidence, dimensions, retired, effective_from, effective_to, recorded_at, closed_at, change_id)
		select $1, version_id, node_id, code, name, kind, parent_id, owner_id, entity, gl_account, capitalization, convert_to(evidence, 'UTF8'), convert_to(dimensions, 'UTF8'),
			retired, effective_from, effective_to, recorded_at, closed_at, change_id
		from jsonb_to_recordset($2::jsonb) as v(version_id uuid, node_id uuid, code text, name text, kind text, parent_id uuid, owner_id uuid, entity text, gl_account text,
			capitalization text, evidence text, dimensions text, retired boolean, effective_from timestamptz, effective_to timestamptz, recorded_at timestamptz, closed_at timestamptz, change_id uuid)`,
		t.Tenant, string(rows))
}

func uuidOrNil[K id.Kind](one id.Of[K]) *string {
	if one.IsZero() {
		return nil
	}
	return new(one.UUID())
}

func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// CloseNodeVersions ends open versions, each once; false when one was closed already or is
// not there.
func (t *Tx) CloseNodeVersions(closings []hierarchy.Closing, closed time.Time) (bool, error) {
	versions, ends := make([]string, 0, len(closings)), make([]time.Time, 0, len(closings))
	for _, c := range closings {
		versions, ends = append(versions, c.Version.UUID()), append(ends, c.Ends)
	}
	var n int64
	_, err := t.row("close node versions", []any{&n}, `select close_node_versions($1::uuid[], $2::timestamptz[], $3)`, versions, ends, closed)
	return n == int64(len(closings)), err
}

// CloseVersion ends an open effective-dated row, once; false when it was closed
// already or is not there.
func (t *Tx) CloseVersion(table string, version id.Version, ends time.Time) (bool, error) {
	var closed bool
	_, err := t.row("close "+table, []any{&closed}, `select close_version($1, $2, $3, $4)`, table, version, ends, t.Now)
	return closed, err
}

// AddNodeOperations keeps a document of operations, which changes name by its digest.
func (t *Tx) AddNodeOperations(document []byte) error {
	digest := sha256.Sum256(document)
	return t.exec("add node operations", `insert into node_operations (tenant_id, digest, document, recorded_at) values ($1, $2, $3, $4) on conflict do nothing`,
		t.Tenant, digest[:], document, t.Now)
}

// NodeOperations reads one; nothing where there is none.
func (t *Tx) NodeOperations(digest [32]byte) ([]byte, error) {
	var document []byte
	_, err := t.row("read node operations", []any{&document}, `select document from node_operations where tenant_id = $1 and digest = $2`, t.Tenant, digest[:])
	return document, err
}

// AddPlacements interns placements; those that exist are left as they are.
func (t *Tx) AddPlacements(placements []hierarchy.Placement) error {
	var ids, nodes, ancestors, paths, entities, treatments []string
	for i := range placements {
		p := &placements[i]
		ids, nodes = append(ids, p.ID.UUID()), append(nodes, p.Node.UUID())
		ancestors, paths = append(ancestors, nodeList(p.Ancestors)), append(paths, strings.Join(p.Path, ","))
		entities, treatments = append(entities, p.Entity), append(treatments, string(p.Capitalization))
	}
	return t.exec("intern placements", `insert into placement (tenant_id, placement_id, node_id, ancestor_ids, path, entity, capitalization, recorded_at)
		select $1, p::uuid, n::uuid, string_to_array(a, ',')::uuid[], string_to_array(c, ','), e, k, $2
		from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) as u(p, n, a, c, e, k) on conflict do nothing`,
		t.Tenant, t.Now, ids, nodes, ancestors, paths, entities, treatments)
}

// KeyOnNode is a live virtual key and what it charges from an instant on.
type KeyOnNode struct {
	KeyID         id.Key
	Label         string
	VersionID     id.Version // of the assignment
	NodeID        id.Node
	Projects      string // ids, separated by commas
	EffectiveFrom time.Time
	EffectiveTo   *time.Time
}

// KeysOnNodes lists the keys that are live at an instant and charge one of some nodes then
// or later. Keys that stand for who signed in are not among them: what a login charges is
// chosen anew by whoever signed in.
func (t *Tx) KeysOnNodes(at time.Time, nodes []id.Node) ([]KeyOnNode, error) {
	var rows []KeyOnNode
	err := t.scan("list keys on nodes", &rows, `select k.key_id, k.label, a.version_id, a.node_id, array_to_string(a.project_ids, ',') as projects, a.effective_from, a.effective_to
		from key_assignment a join virtual_key k on k.tenant_id = a.tenant_id and k.key_id = a.key_id
		where a.tenant_id = ? and a.node_id = any(string_to_array(?, ',')::uuid[]) and (a.effective_to is null or (a.effective_to > ? and a.effective_to > a.effective_from))
		and k.sign_in_node is null and (k.expires_at is null or k.expires_at > ?)
		and not exists (select from key_revocation r where r.tenant_id = k.tenant_id and r.key_id = k.key_id)
		order by k.key_id, a.effective_from`, t.Tenant, nodeList(nodes), at, at)
	return rows, err
}

// NodeEnds is when a node retires, as now known; false for one that stays.
func (t *Tx) NodeEnds(node id.Node) (time.Time, bool, error) {
	var ends *time.Time
	_, err := t.row("read end of node", []any{&ends}, `select case when bool_or(upper_inf(span)) then null else max(upper(span)) end from node_span where tenant_id = $1 and node_id = $2`, t.Tenant, node)
	return instant(ends), ends != nil, err
}

// AbsentMembers lists which of several ids are no members here.
func (t *Tx) AbsentMembers(members []id.Member) ([]id.Member, error) {
	var rows []struct{ MemberID id.Member }
	if len(members) == 0 {
		return nil, nil
	}
	err := t.scan("look for members", &rows, `select m::uuid as member_id from unnest(string_to_array(?, ',')) as m
		where not exists (select from member o where o.tenant_id = ? and o.member_id = m::uuid)`, strings.Join(uuids(members), ","), t.Tenant)
	absent := make([]id.Member, 0, len(rows))
	for _, r := range rows {
		absent = append(absent, r.MemberID)
	}
	return absent, err
}
