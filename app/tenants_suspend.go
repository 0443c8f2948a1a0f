package app

import (
	"context"

	"tollbook/app/approval"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/db"
)

// shut refuses everybody of a company that is closed, and says which way it is.
func shut(tx *db.Tx) error {
	_, gone, err := tx.Offboarding()
	switch {
	case err != nil:
		return err
	case gone:
		return ErrTenantOffboarded
	}
	suspended, err := tx.Suspended()
	if err == nil && suspended {
		err = ErrTenantSuspended
	}
	return err
}

// ErrTenantSuspended is the answer to who belongs to a company that is suspended, at the
// pages, the API and the sign-in alike.
var ErrTenantSuspended = fault.New(fault.KindForbidden, "tenant_suspended",
	"This company is suspended by whoever runs this installation: its gateway, its pages and its API are closed, and its data is kept as it is. Ask them to resume it.")

var (
	errTenantSuspended = fault.New(fault.KindConflict, "tenant_state", "That tenant is suspended already.")
	errTenantActive    = fault.New(fault.KindConflict, "tenant_state", "That tenant is not suspended.")
)

// Suspend closes a tenant: gateways refuse its requests within a second, and pages, API
// and sign-in tell its members so. Requests under way end as they would, and nothing
// that is stored changes.
func (t *Tenants) Suspend(ctx context.Context, who Actor, reason string) error {
	return t.setState(ctx, who, changeTenantSuspension, db.TenantSuspended, reason)
}

// Resume opens a suspended tenant again.
func (t *Tenants) Resume(ctx context.Context, who Actor, reason string) error {
	return t.setState(ctx, who, changeTenantResumption, db.TenantActive, reason)
}

func (t *Tenants) setState(ctx context.Context, who Actor, kind, state, reason string) error {
	if err := t.changes.allowed(who, kind); err != nil {
		return err
	}
	return t.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		_, err := t.changes.change(tx, who, proposal{kind: kind, payload: map[string]any{"state": state}, reason: reason}, func(c approval.Change) error {
			// Read here: a change that committed meanwhile may have said the same.
			suspended, err := tx.Suspended()
			switch {
			case err != nil:
				return err
			case suspended && state == db.TenantSuspended:
				return errTenantSuspended
			case !suspended && state == db.TenantActive:
				return errTenantActive
			}
			return tx.SetTenantState(id.NewVersion(tx.Now), state, c.ID)
		})
		return err
	})
}
