package db

import (
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// MemberRow is one identity with what it may do.
type MemberRow struct {
	MemberID    id.Member
	PersonID    id.Person
	Kind        string
	Issuer      string
	Subject     string
	NameSealed  []byte
	SuspendedAt *time.Time
}

// RoleRow is one role a member holds now, over a subtree or everything.
type RoleRow struct {
	MemberID id.Member
	Role     string
	NodeID   id.Node
}

// ErrMemberAbsent reports an identity the tenant does not know.
var ErrMemberAbsent = fault.New(fault.KindNotFound, "member_absent", "There is no such member.")

// AddPerson stores a human with sealed name and address.
func (t *Tx) AddPerson(person id.Person, nameSealed, emailSealed, emailHash []byte) error {
	return t.exec("add person", `insert into person (tenant_id, person_id, name_sealed, email_sealed, email_hash, recorded_at) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, person, nameSealed, emailSealed, emailHash, t.Now)
}

// AddMember stores an identity of a person.
func (t *Tx) AddMember(member id.Member, person id.Person, kind, issuer, subject string) error {
	return t.exec("add member", `insert into member (tenant_id, member_id, person_id, kind, issuer, subject, recorded_at) values ($1, $2, $3, $4, $5, $6, $7)`,
		t.Tenant, member, person, kind, issuer, subject, t.Now)
}

// NewGrant is a role a member is given from an instant on.
type NewGrant struct {
	Version id.Version
	Member  id.Member
	Role    string
	Node    id.Node
	From    time.Time
	Change  id.Change
	Mapping id.Version // the group mapping it comes from; zero: given directly
}

// GrantRole records that a member holds a role from an instant on.
func (t *Tx) GrantRole(g NewGrant) error {
	return t.exec("grant role", `insert into member_role (tenant_id, version_id, member_id, role, node_id, effective_from, recorded_at, change_id, mapping_id)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, t.Tenant, g.Version, g.Member, g.Role, g.Node, g.From, t.Now, g.Change, g.Mapping)
}

const memberSelect = `select m.member_id, m.person_id, m.kind, m.issuer, m.subject, m.suspended_at, with_shard(p.tenant_id, 'person', p.person_id, 'name', p.name_sealed) as name_sealed
	from member m join person p on p.tenant_id = m.tenant_id and p.person_id = m.person_id where m.tenant_id = ?`

// MemberByIdentity finds a member by issuer and subject.
func (t *Tx) MemberByIdentity(issuer, subject string) (MemberRow, error) {
	return t.oneMember(memberSelect+` and m.issuer = ? and m.subject = ?`, t.Tenant, issuer, subject)
}

// Member finds a member by id.
func (t *Tx) Member(member id.Member) (MemberRow, error) {
	return t.oneMember(memberSelect+` and m.member_id = ?`, t.Tenant, member)
}

func (t *Tx) oneMember(query string, args ...any) (MemberRow, error) {
	var rows []MemberRow
	if err := t.scan("read member", &rows, query, args...); err != nil {
		return MemberRow{}, err
	}
	if len(rows) == 0 {
		return MemberRow{}, ErrMemberAbsent
	}
	return rows[0], nil
}

// Members lists every identity, oldest first.
func (t *Tx) Members(limit int) ([]MemberRow, error) {
	var rows []MemberRow
	err := t.scan("list members", &rows, memberSelect+` order by m.recorded_at, m.member_id limit ?`, t.Tenant, limit)
	return rows, err
}

// Roles lists the roles a member holds now.
func (t *Tx) Roles(member id.Member) ([]RoleRow, error) {
	var rows []RoleRow
	err := t.scan("read roles", &rows, `select member_id, role, node_id from member_role where tenant_id = ? and member_id = ?
		and effective_from <= ? and (effective_to is null or effective_to > ?) order by role, version_id`, t.Tenant, member, t.Now, t.Now)
	return rows, err
}

// AddDevelopers records developers seen for the first time, and which of those known
// have been verified since; labels are sealed.
func (t *Tx) AddDevelopers(ids []string, sealed [][]byte, verified []bool) error {
	if len(ids) == 0 {
		return nil
	}
	return t.exec("add developers", `insert into developer (tenant_id, developer_id, label_sealed, verified, recorded_at)
		select $1, d::uuid, s, v, $5 from unnest($2::text[], $3::bytea[], $4::bool[]) as u(d, s, v) order by 2
		on conflict (tenant_id, developer_id) do update set verified = true where excluded.verified and not developer.verified`,
		t.Tenant, ids, sealed, verified, t.Now)
}

// DeveloperRow is one developer's sealed label.
type DeveloperRow struct {
	DeveloperID id.Developer
	LabelSealed []byte
	Verified    bool
}

// Developers reads labels by id.
func (t *Tx) Developers(ids []string) ([]DeveloperRow, error) {
	rows := []DeveloperRow{}
	if len(ids) == 0 {
		return rows, nil
	}
	err := t.scan("read developers", &rows, `select developer_id, with_shard(tenant_id, 'developer', developer_id, 'label', label_sealed) as label_sealed, verified
		from developer where tenant_id = ? and developer_id = any(string_to_array(?, ',')::uuid[])`, t.Tenant, strings.Join(ids, ","))
	return rows, err
}

// IssuerRow is one OpenID Connect issuer of a tenant.
type IssuerRow struct {
	IssuerID           id.Issuer
	Name               string
	URL                string
	ClientID           string
	ClientSecretSealed []byte
	Domains            string // of e-mail addresses that lead here, with spaces between
	RecordedAt         time.Time
}

// AddIssuer stores an issuer.
func (t *Tx) AddIssuer(r IssuerRow, change id.Change) error {
	return t.exec("add issuer", `insert into issuer (tenant_id, issuer_id, name, url, client_id, client_secret_sealed, recorded_at, change_id, domains)
		values ($1, $2, $3, $4, $5, $6, $7, $8, coalesce(string_to_array(nullif($9, ''), ' '), '{}'))`,
		t.Tenant, r.IssuerID, r.Name, r.URL, r.ClientID, r.ClientSecretSealed, t.Now, change, r.Domains)
}

// RetireIssuer ends an issuer's use.
func (t *Tx) RetireIssuer(issuer id.Issuer) error {
	return t.exec("retire issuer", `update issuer set retired_at = $3 where tenant_id = $1 and issuer_id = $2 and retired_at is null`, t.Tenant, issuer, t.Now)
}

// Issuers lists the issuers in use.
func (t *Tx) Issuers() ([]IssuerRow, error) {
	var rows []IssuerRow
	err := t.scan("list issuers", &rows, `select issuer_id, name, url, client_id, client_secret_sealed, array_to_string(domains, ' ') as domains, recorded_at
		from issuer where tenant_id = ? and retired_at is null order by name, issuer_id`, t.Tenant)
	return rows, err
}

// PersonEmail reads a person's sealed address; empty when erased or absent.
func (t *Tx) PersonEmail(person id.Person) ([]byte, error) {
	var sealed []byte
	_, err := t.row("read address", []any{&sealed}, `select with_shard(tenant_id, 'person', person_id, 'email', email_sealed) from person where tenant_id = $1 and person_id = $2`, t.Tenant, person)
	return sealed, err
}
