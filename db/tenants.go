package db

import (
	"context"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
)

// TenantRow is a customer company.
type TenantRow struct {
	ID         id.Tenant `gorm:"column:tenant_id"`
	Slug       string
	Name       string // what it is called now
	FoundedAs  string // what it was called when it was made
	RecordedAt time.Time
	// TimeZone is an IANA name, FiscalMonth the calendar month a fiscal year begins with.
	TimeZone    string
	FiscalMonth int
	SuspendedAt *time.Time // nil: active
	// OffboardedAt is when the company was let go for good; nil: it was not.
	OffboardedAt *time.Time
}

// tenantColumns and tenantFrom read tenants with the profile in force.
const tenantColumns = `select t.tenant_id, t.slug, coalesce(p.name, t.name) as name, t.name as founded_as, t.recorded_at, coalesce(p.time_zone, 'UTC') as time_zone,
	coalesce(p.fiscal_month, 1) as fiscal_month,
	(select case when s.state = 'suspended' then s.at end from tenant_state s where s.tenant_id = t.tenant_id order by s.place desc limit 1) as suspended_at,
	(select o.offboarded_at from offboarding o where o.tenant_id = t.tenant_id) as offboarded_at`

const tenantFrom = ` from tenant t left join tenant_profile p on p.tenant_id = t.tenant_id and p.effective_to is null`

const tenantSelect = tenantColumns + tenantFrom

// ErrTenantAbsent reports a slug or id nobody has.
var ErrTenantAbsent = fault.New(fault.KindNotFound, "tenant_absent", "There is no such tenant.")

// AddTenant inserts the transaction's tenant. A slug that is taken is ErrTaken at once, so
// that it can be told from anything else that is.
func (t *Tx) AddTenant(slug, name string) error {
	return translate(t.exec("add tenant", `insert into tenant (tenant_id, slug, name, recorded_at) values ($1, $2, $3, $4)`, t.Tenant, slug, name, t.Now))
}

// TenantRow reads the transaction's tenant.
func (t *Tx) TenantRow() (TenantRow, error) {
	var rows []TenantRow
	err := t.scan("read tenant", &rows, tenantSelect+` where t.tenant_id = ?`, t.Tenant)
	if err == nil && len(rows) == 0 {
		err = ErrTenantAbsent
	}
	if err != nil {
		return TenantRow{}, err
	}
	return rows[0], nil
}

// HereRow is a tenant with what its papers carry now.
type HereRow struct {
	TenantRow `gorm:"embedded"`

	BrandingID      *id.Version // nil: nothing but its name
	LegalName       string
	Accent          string
	Confidentiality string
	HasLogo         bool
}

// Here reads the transaction's tenant with what its papers carry now.
func (t *Tx) Here() (HereRow, error) {
	var rows []HereRow
	err := t.scan("read tenant", &rows, tenantColumns+`, b.version_id as branding_id, coalesce(b.legal_name, '') as legal_name, coalesce(b.accent, '') as accent,
		coalesce(b.confidentiality, '') as confidentiality, b.logo_sha256 is not null as has_logo`+tenantFrom+`
		left join branding b on b.tenant_id = t.tenant_id and b.effective_to is null where t.tenant_id = ?`, t.Tenant)
	if err == nil && len(rows) == 0 {
		err = ErrTenantAbsent
	}
	if err != nil {
		return HereRow{}, err
	}
	return rows[0], nil
}

// The states of a tenant.
const (
	TenantActive    = "active"
	TenantSuspended = "suspended"
)

// SetTenantState suspends or resumes the tenant from now on.
func (t *Tx) SetTenantState(version id.Version, state string, change id.Change) error {
	place, err := t.Counter("tenant_state")
	if err != nil {
		return err
	}
	return t.exec("set tenant state", `insert into tenant_state (tenant_id, version_id, place, state, at, change_id) values ($1, $2, $3, $4, $5, $6)`,
		t.Tenant, version, place, state, t.Now, change)
}

// Suspended tells whether the tenant is.
func (t *Tx) Suspended() (bool, error) {
	var state string
	_, err := t.row("read tenant state", []any{&state}, `select state from tenant_state where tenant_id = $1 order by place desc limit 1`, t.Tenant)
	return state == TenantSuspended, err
}

// Tenants lists every tenant, by slug.
func (t *SystemTx) Tenants() ([]TenantRow, error) {
	var rows []TenantRow
	err := t.scan("list tenants", &rows, tenantSelect+` order by t.slug`)
	return rows, err
}

// PseudonymKeyRow is one tenant's sealed pseudonym key; without one it is empty.
type PseudonymKeyRow struct {
	TenantID  id.Tenant
	KeySealed []byte
}

// PseudonymKeys reads every tenant's.
func (t *SystemTx) PseudonymKeys() ([]PseudonymKeyRow, error) {
	var rows []PseudonymKeyRow
	err := t.scan("read pseudonym keys", &rows, `select t.tenant_id, k.key_sealed from tenant t left join pseudonym_key k on k.tenant_id = t.tenant_id`)
	return rows, err
}

// TenantBySlug finds a tenant by its name in URLs.
func (d *DB) TenantBySlug(ctx context.Context, slug string) (TenantRow, error) {
	var rows []TenantRow
	err := d.InSystem(ctx, "a slug comes before its tenant is known", func(tx *SystemTx) error {
		return tx.scan("find tenant", &rows, tenantSelect+` where t.slug = ?`, slug)
	})
	if err == nil && len(rows) == 0 {
		err = ErrTenantAbsent
	}
	if err != nil {
		return TenantRow{}, err
	}
	return rows[0], nil
}
