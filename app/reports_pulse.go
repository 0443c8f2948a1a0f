package app

import (
	"context"

	"tollbook/db"
)

// Pulse is a mark that changes when requests of the tenant reach the ledger, and says
// nothing about them: who looks at figures may look again.
func (r *Reports) Pulse(ctx context.Context, who Actor) (string, error) {
	if err := r.access.Check(who, "usage", "read"); err != nil {
		if own := r.access.Check(who, "usage", "read_own"); own != nil {
			return "", err
		}
	}
	mark := ""
	err := r.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		var err error
		mark, err = tx.BatchMark()
		return err
	})
	return mark, err
}
