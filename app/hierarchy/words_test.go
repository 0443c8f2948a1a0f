package hierarchy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/hierarchy"
)

func TestOperationsAreSaidInWords(t *testing.T) {
	t.Parallel()
	ops := func(list ...string) []hierarchy.Operation {
		parsed, err := hierarchy.ParseOperations([]byte(`{"operations":[` + strings.Join(list, ",") + `]}`))
		require.NoError(t, err)
		return parsed
	}
	for operation, want := range map[string]string{
		`{"op":"create","code":"A","name":"Alpha","kind":"project","parent_code":"CC-1"}`:     `A "Alpha" is created below CC-1.`,
		`{"op":"create","code":"A","name":"Alpha","kind":"project"}`:                          `A "Alpha" is created at the top.`,
		`{"op":"rename","code":"A","name":"Beta"}`:                                            `A is named "Beta".`,
		`{"op":"recode","code":"A","new_code":"B"}`:                                           `A has code B.`,
		`{"op":"move","code":"A","parent_code":"","was":"CC-1"}`:                              `A moves from CC-1 to the top.`,
		`{"op":"merge","code":"A","into":"B"}`:                                                `A is merged into B.`,
		`{"op":"split","code":"A","nodes":[{"code":"B","name":"b"},{"code":"C","name":"c"}]}`: `A is split into B, C.`,
		`{"op":"retire","code":"A"}`:                                                          `A retires.`,
		`{"op":"owner","code":"A","owner":""}`:                                                `A has another owner.`,
		`{"op":"entity","code":"A","entity":""}`:                                              `A belongs to the entity of what is above it.`,
		`{"op":"gl_account","code":"A","gl_account":"6100"}`:                                  `A has GL account 6100.`,
		`{"op":"kind","code":"A","kind":"cost_center"}`:                                       `A is a cost center.`,
		`{"op":"capitalization","code":"A","capitalization":"expense"}`:                       `A is expensed.`,
		`{"op":"dimensions","code":"A","dimensions":{}}`:                                      `A has other ERP dimensions.`,
	} {
		list := ops(operation)
		require.Equal(t, want, list[0].Sentence())
		again, err := json.Marshal(list[0])
		require.NoError(t, err)
		require.JSONEq(t, operation, string(again), "what was said, and no more")
	}
	rename := `{"op":"rename","code":"A","name":"Beta"}`
	require.Equal(t, `A is named "Beta". A retires.`, hierarchy.Sentences(ops(rename, `{"op":"retire","code":"A"}`)))
	require.Equal(t, "4 operations on the hierarchy: rename 3, retire 1.", hierarchy.Sentences(ops(rename, rename, rename, `{"op":"retire","code":"A"}`)))
}

func TestEvidenceNamesItsGaps(t *testing.T) {
	t.Parallel()
	require.Len(t, hierarchy.Evidence{}.Gaps(), 7)
	require.Nil(t, hierarchy.Evidence{}.Canonical())
	whole := hierarchy.Evidence{
		Standard: hierarchy.StandardASU202506, AuthorizedOn: "2026-03-01", AuthorizationDocument: "Board minutes", FundingCommitment: "PO 7", StartedOn: "2026-03-02",
		Category: hierarchy.CategoryNewFunction, CapitalizableBps: 7500,
	}
	require.Empty(t, whole.Gaps())
	require.Equal(t, `{"authorization_document":"Board minutes","authorized_on":"2026-03-01","capitalizable_bps":7500,"category":"new_function","funding_commitment":"PO 7","standard":"asu_2025_06","started_on":"2026-03-02"}`,
		string(whole.Canonical()))
	whole.Uncertain, whole.Category = true, hierarchy.CategoryMaintenance
	require.Equal(t, []string{"development is uncertain", "the category is maintenance"}, whole.Gaps())
}

func TestDimensionsAreCanonical(t *testing.T) {
	t.Parallel()
	one, err := hierarchy.NewDimensions(map[string]map[string]string{"sap": {"WBS": "1", "Cost center": "2"}, "netsuite": {}})
	require.NoError(t, err)
	require.Equal(t, `{"sap":{"Cost center":"2","WBS":"1"}}`, string(one))
	none, err := hierarchy.NewDimensions(map[string]map[string]string{"netsuite": {}})
	require.NoError(t, err)
	require.Empty(t, none)
	require.NotNil(t, none.Codes())
	many := map[string]string{}
	for _, c := range "abcdefghijklmnopqrstu" {
		many[string(c)] = "1"
	}
	for _, bad := range []map[string]map[string]string{
		{"sap": many}, {"sap": {"1": "x"}}, {"sap": {"WBS": " x"}}, {"sap": {"WBS": strings.Repeat("x", 101)}}, {"sap": {"WBS": "a\nb"}}, {"SAP": {"WBS": "x"}},
	} {
		_, err := hierarchy.NewDimensions(bad)
		require.Error(t, err, bad)
	}
}
