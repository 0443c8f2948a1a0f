package app

import (
	"tollbook/app/period"
	"tollbook/db"
)

// Hurry leaves no time to replay anything.
func (r *Rules) Hurry() { r.replayFor, r.impactFor = 0, 0 }

// ExternalID is a journal's id in other systems.
func ExternalID(slug string, month period.Month, entity string, draft bool, revision int) string {
	return externalID(slug, month, entity, draft, revision)
}

// BillID is a bill's.
func BillID(slug string, r *db.InvoiceRow) string { return billID(slug, r) }
