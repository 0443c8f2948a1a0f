package app_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app"
	"tollbook/app/period"
	"tollbook/db"
)

// TestNoTwoDocumentsShareAnExternalID names journals of any entities, final and drafts, whole
// and in parts: a system that takes an id for another's would hold one journal twice.
func TestNoTwoDocumentsShareAnExternalID(t *testing.T) {
	t.Parallel()
	month, err := period.ParseMonth("2026-11")
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		entities := rapid.SliceOfNDistinct(rapid.StringMatching(`([USus1P.-]|DRAFT){0,9}`), 2, 12, func(e string) string { return e }).Draw(t, "entities")
		seen := map[string]string{}
		for _, entity := range entities {
			for _, draft := range []bool{true, false} {
				for revision := range 12 {
					journal := app.ExternalID("one", month, entity, draft, revision+1)
					require.Regexp(t, `^[A-Za-z][A-Za-z0-9-]{2,79}$`, journal)
					for part := range 13 {
						of, id := fmt.Sprintf("%q %t %d %d", entity, draft, revision, part), journal
						if part > 0 {
							id = fmt.Sprintf("%sP%d", journal, part)
						}
						require.Empty(t, seen[id], "%s is of %s too", id, of)
						seen[id] = of
					}
				}
			}
		}
	})
}

func TestNoTwoBillsShareAnExternalID(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, workspace := range []string{"default", "research"} {
		for _, number := range []string{"INV-1", "INV/1", "INV.1", "INV-1-1", "ACME-2026-INVOICE-OF-OCTOBER-00000041", "ACME-2026-INVOICE-OF-OCTOBER-00000042"} {
			for revision := 1; revision < 12; revision++ {
				id := app.BillID("meridian", &db.InvoiceRow{Number: number, Workspace: workspace, Revision: revision})
				require.False(t, seen[id], id)
				require.Regexp(t, `^[A-Za-z][A-Za-z0-9-]{2,79}$`, id)
				seen[id] = true
			}
		}
	}
}
