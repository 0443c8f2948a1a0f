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
	Name       string
	RecordedAt time.Time
}

// ErrTenantAbsent reports a slug or id nobody has.
var ErrTenantAbsent = fault.New(fault.KindNotFound, "tenant_absent", "There is no such tenant.")

// AddTenant inserts the transaction's tenant.
func (t *Tx) AddTenant(slug, name string) error {
	return t.exec("add tenant", `insert into tenant (tenant_id, slug, name, recorded_at) values ($1, $2, $3, $4)`, t.Tenant, slug, name, t.Now)
}

// TenantRow reads the transaction's tenant.
func (t *Tx) TenantRow() (TenantRow, error) {
	row := TenantRow{ID: t.Tenant}
	found, err := t.row("read tenant", []any{&row.Slug, &row.Name, &row.RecordedAt}, `select slug, name, recorded_at from tenant where tenant_id = $1`, t.Tenant)
	if err == nil && !found {
		err = ErrTenantAbsent
	}
	return row, err
}

// Tenants lists every tenant, by slug.
func (t *SystemTx) Tenants() ([]TenantRow, error) {
	var rows []TenantRow
	err := t.scan("list tenants", &rows, `select tenant_id, slug, name, recorded_at from tenant order by slug`)
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
		return tx.scan("find tenant", &rows, `select tenant_id, slug, name, recorded_at from tenant where slug = ?`, slug)
	})
	if err == nil && len(rows) == 0 {
		err = ErrTenantAbsent
	}
	if err != nil {
		return TenantRow{}, err
	}
	return rows[0], nil
}
