package api_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/web/api"
)

// behind are the sources whose faults an endpoint can give; what else the product
// refuses belongs to areas the API does not offer yet.
func behind() []string {
	return []string{
		"../../app/access.go", "../../app/approval", "../../app/approvals.go", "../../app/approvals_decide.go", "../../app/approvals_terms.go", "../../app/approvals_policies.go", "../../app/changes.go", "../../app/changes_payload.go",
		"../../app/members_govern.go", "../../app/members_roles.go", "../../app/members_groups.go", "../../app/signins_govern.go", "../../app/signins_issuers.go", "../../app/tenants_govern.go", "../../app/tenants.go", //nolint:misspell // names of files
		"../../app/plans.go", "../../app/plans_govern.go", "../../app/plan", "../../app/keys_move.go", "../../app/prices.go", "../../app/pricing", "../../app/chargeback.go", "../../app/idempotency.go", "../../app/keys.go", "../../app/keys_models.go", "../../app/keys_rotate.go", "../../app/reports.go",
		"../../app/hierarchy", "../../app/nodes.go", "../../app/nodes_change.go", "../../app/nodes_impact.go", "../../app/nodes_read.go",
		"../../app/attribution", "../../app/rules.go", "../../app/rules_replay.go", "../../app/rules_tester.go", "../../app/id", "../../db/errors.go", "../../db/keys.go", ".",
		"../../app/notices_channels.go", "../../app/books.go", "../../app/books_read.go", "../../app/books_setting.go", "../../app/books_reverse.go",
		"../../app/invoices.go", "../../app/invoices_allocate.go", "../../app/invoices_sharing.go", "../../app/allocation",
		"../../app/exports.go", "../../app/exports_make.go", "../../app/exports_mapping.go", "../../app/exports_bill.go", "../../app/exports_once.go", "../../app/exports_acknowledge.go", "../../app/exports_actuals.go", "../../app/exports_focus.go", "../../app/export/erp", "../../app/export/focus",
		"../../app/reconciliations.go", "../../app/reconciliations_read.go", "../../app/reconciliations_tolerance.go", "../../app/reconcile/tolerance.go", "../../app/reconcile/elsewhere.go", "../../app/reconciliations_elsewhere.go",
		"../../app/commentaries_read.go", "../../app/commentary/figures.go", "../../app/disputes_read.go", "../../app/adjustments_trueup.go", "../../app/period", "../../app/closings.go", "../../app/closings_moves.go", "../../app/closings_materiality.go", "../../app/closing/materiality.go", "../../app/closings_holidays.go", "../../app/closing/holidays.go",
	}
}

func codesIn(t *testing.T, roots ...string) map[string]string {
	t.Helper()
	raised := regexp.MustCompile(`(?:fault\.(?:New\([^,]+,|Invalid\([^,]+,)\s*|errOvertaken\()"([a-z_]+)"`)
	found := map[string]string{}
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, match := range raised.FindAllStringSubmatch(string(source), -1) {
				found[match[1]] = path
			}
			return err
		})
		require.NoError(t, err)
	}
	return found
}

func TestEveryCodeIsListed(t *testing.T) {
	t.Parallel()
	for code, path := range codesIn(t, behind()...) {
		require.Contains(t, api.Codes(), code, "%s can give it", path)
	}
	anywhere := codesIn(t, "../../app", "../../db", ".")
	kinds := []string{"conflict", "forbidden", "internal", "invalid", "limited", "not_found", "unauthenticated", "unavailable"}
	for _, code := range api.Codes() {
		require.True(t, anywhere[code] != "" || slices.Contains(kinds, code), "%s is listed and nothing gives it", code)
	}
	require.Subset(t, api.Codes(), kinds)
}
