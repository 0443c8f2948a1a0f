package db_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tollbook/app/id"
	"tollbook/app/period"
	"tollbook/db"
	"tollbook/db/dbtest"
)

// installation lists the tables that belong to no tenant, with the reason.
func installation() map[string]string {
	return map[string]string{
		"goose_db_version": "the schema's own history",
		"replica":          "a gateway process serves every tenant",
		"sign_up":          "who signs up has no tenant yet",
	}
}

func tables(t *testing.T, admin *sql.DB, kinds string) []string {
	t.Helper()
	rows, err := admin.Query(`select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where n.nspname = 'public' and c.relkind::text = any(string_to_array($1, ',')) order by 1`, kinds)
	require.NoError(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

func TestEveryTenantTableIsFenced(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	admin := clone.Admin(t)
	tenant := newTenant(t, clone, "one")
	require.NoError(t, clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error { return tx.EnsureUsageMonth(period.MonthOf(time.Now())) }))

	all := tables(t, admin, "r,p")
	require.Greater(t, len(all), 25)
	for _, table := range all {
		if installation()[table] != "" {
			continue
		}
		var enabled, forced, partition bool
		var owner string
		require.NoError(t, admin.QueryRow(`select relrowsecurity, relforcerowsecurity, relispartition, pg_get_userbyid(relowner) from pg_class where relname = $1`, table).
			Scan(&enabled, &forced, &partition, &owner))
		require.True(t, enabled && forced, "%s: row security must be enabled and forced", table)
		require.Equal(t, "tollbook_owner", owner, table)
		if partition {
			continue // no policy: with row security forced, nobody reads it directly
		}
		var policies int
		require.NoError(t, admin.QueryRow(`select count(*) from pg_policies where tablename = $1 and qual like '%current_tenant()%' and with_check like '%current_tenant()%' and cmd = 'ALL'`, table).Scan(&policies))
		require.Equal(t, 1, policies, "%s: the tenant policy", table)
		var first sql.NullString
		require.NoError(t, admin.QueryRow(`select a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
			where i.indrelid = $1::regclass and i.indisprimary`, table).Scan(&first))
		require.Equal(t, "tenant_id", first.String, "%s: the primary key starts with the tenant", table)
	}

	rows, err := admin.Query(`select conrelid::regclass::text, a.attname, b.attname from pg_constraint c
		join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1] join pg_attribute b on b.attrelid = c.confrelid and b.attnum = c.confkey[1]
		where c.contype = 'f' and c.connamespace = 'public'::regnamespace`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var table, from, to string
		require.NoError(t, rows.Scan(&table, &from, &to))
		require.Equal(t, "tenant_id", from, "%s: a foreign key starts with the tenant", table)
		require.Equal(t, "tenant_id", to, "%s: a foreign key points at the tenant", table)
	}
	require.NoError(t, rows.Err())
}

// appendOnly lists what no role that runs may change; closing an open end goes
// through the owner's function.
func appendOnly() []string {
	return []string{
		"tenant", "change", "change_move", "audit_record", "audit_leaf", "audit_node", "audit_checkpoint", "audit_key", "audit_key_end", "audit_witness", "audit_check", "node", "node_version", "node_operations", "placement", "virtual_key", "key_secret", "charge_right", "charge_right_end", "login", "login_charge", "login_end", "key_revocation",
		"key_assignment", "member_role", "role_end", "member_state", "member_link", "group_mapping", "upstream", "price_version", "price_proposal", "usage_batch", "usage_event",
		"adjustment_batch", "adjustment", "adjustment_line", "adjustment_end", "request_selection", "books_version", "journal_entry", "journal_line",
		"account_mapping", "journal_export", "journal_export_entry", "journal_export_file", "journal_export_posting", "export_acknowledgment", "gl_actuals", "gl_actual_line",
		"sharing_version", "invoice", "invoice_line", "invoice_paper", "allocation", "allocation_share",
		"period_move", "close_sign_off", "close_fall", "close_waiver", "close_freeze", "close_figure", "materiality_version", "holiday_version", "holiday",
		"saved_view", "saved_view_removal", "tag_declaration", "tenant_profile", "tenant_state", "upstream_test", "founding", "logo", "branding",
		"policy_version", "change_revision", "change_terms", "change_vote", "change_remark", "change_attachment", "change_document", "delegation", "delegation_end", "erasure",
		"tolerance_version", "reconciliation", "reconciliation_item", "reconciliation_sign_off", "variance", "variance_step", "spend_elsewhere", "spend_elsewhere_line",
		"commentary_step", "dispute", "dispute_step",
		"provider_source", "provider_pull", "provider_page", "provider_pull_end", "provider_figure", "provider_name",
		"retention_term", "legal_hold", "legal_hold_end", "tombstone", "tombstone_batch", "tenant_export", "offboarding",
		"packet", "packet_file", "packet_seal", "packet_recipient", "packet_recipient_end", "packet_delivery", "packet_step", "packet_ask", "packet_ask_end",
	}
}

func TestAppCannotChangeWhatIsAppendOnlyNorTouchAPartition(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	tenant := newTenant(t, clone, "one")
	require.NoError(t, clone.InTenant(t.Context(), tenant, func(tx *db.Tx) error { return tx.EnsureUsageMonth(period.MonthOf(time.Now())) }))
	try := func(statement string) error {
		return clone.InTenant(context.Background(), tenant, func(tx *db.Tx) error {
			_, err := tx.SQL().Exec(statement)
			return err
		})
	}
	for _, table := range appendOnly() {
		for _, statement := range []string{
			"update %s set tenant_id = tenant_id", "delete from %s", "truncate %s", "drop table %s", "alter table %s disable row level security",
			"alter table %s disable trigger all",
		} {
			err := try(fmt.Sprintf(statement, table))
			require.ErrorContains(t, err, "42501", "%s: %s", table, statement) // insufficient_privilege
		}
	}
	part := "usage_event_" + time.Now().UTC().Format("2006_01")
	for _, statement := range []string{"select * from " + part, "insert into " + part + " select * from usage_event", "delete from " + part} {
		require.ErrorContains(t, try(statement), "42501", statement)
	}
	require.ErrorContains(t, try("set role tollbook_owner"), "42501")
	require.ErrorContains(t, try("set row_security = off; select * from tenant"), "row-level security")
}

func TestAppendOnlyHoldsEvenForASuperuser(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	admin := clone.Admin(t)
	newTenant(t, clone, "one")
	_, err := admin.Exec(`update tenant set name = 'x'`)
	require.ErrorContains(t, err, "append-only")
	_, err = admin.Exec(`truncate tenant cascade`)
	require.ErrorContains(t, err, "append-only")
	for _, table := range appendOnly() {
		var triggers int
		require.NoError(t, admin.QueryRow(`select count(*) from pg_trigger where tgrelid = $1::regclass and tgname like 'append_only%' and tgenabled = 'O'`, table).Scan(&triggers))
		require.Equal(t, 2, triggers, table)
	}
}

func TestSystemReadsOnlyWhatItIsListedFor(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	admin := clone.Admin(t)
	rows, err := admin.Query(`select table_name, string_agg(privilege_type, ',' order by privilege_type) from information_schema.role_table_grants
		where grantee = 'tollbook_system' group by 1 order by 1`)
	require.NoError(t, err)
	defer rows.Close()
	var granted []string
	for rows.Next() {
		var table, privileges string
		require.NoError(t, rows.Scan(&table, &privileges))
		require.Equal(t, "SELECT", privileges, table)
		granted = append(granted, table)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, "api_token,change,key_assignment,key_revocation,key_secret,login,login_charge,login_credential,login_end,node,node_version,offboarding,person_key,placement,price_version,pseudonym_key,rule_version,tenant,tenant_profile,tenant_state,upstream,virtual_key", strings.Join(granted, ","))
}

func TestATenantSeesNothingOfAnother(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	one, two := newTenant(t, clone, "one"), newTenant(t, clone, "two")
	require.NoError(t, clone.InTenant(t.Context(), one, func(tx *db.Tx) error {
		row, err := tx.TenantRow()
		require.NoError(t, err)
		require.Equal(t, "one", row.Slug)
		var n int
		require.NoError(t, tx.SQL().QueryRow(`select count(*) from tenant`).Scan(&n))
		require.Equal(t, 1, n)
		_, err = tx.SQL().Exec(`savepoint s`)
		require.NoError(t, err)
		_, err = tx.SQL().Exec(`insert into node (tenant_id, node_id, recorded_at) values ($1, gen_random_uuid(), now())`, two.UUID())
		require.ErrorContains(t, err, "row-level security")
		_, err = tx.SQL().Exec(`rollback to s`)
		return err
	}))
	var n int
	require.NoError(t, clone.Admin(t).QueryRow(`select count(*) from node`).Scan(&n))
	require.Zero(t, n)
	// Without a tenant, as the app role, nothing is visible.
	app, err := sql.Open("pgx", clone.URL("tollbook_app"))
	require.NoError(t, err)
	defer app.Close()
	require.NoError(t, app.QueryRow(`select count(*) from tenant`).Scan(&n))
	require.Zero(t, n)
}

func TestOpenRefusesTheWrongRole(t *testing.T) {
	t.Parallel()
	clone := dbtest.New(t)
	for _, urls := range [][2]string{
		{clone.URL("tollbook"), clone.URL("tollbook_system")},
		{clone.URL("tollbook_system"), clone.URL("tollbook_system")},
		{clone.URL("tollbook_app"), clone.URL("tollbook_app")},
	} {
		for _, later := range []bool{false, true} {
			_, err := db.Open(t.Context(), db.Config{URL: urls[0], SystemURL: urls[1], Later: later})
			require.ErrorContains(t, err, "must own no table")
		}
	}
}

func newTenant(t *testing.T, clone *dbtest.Clone, slug string) id.Tenant {
	t.Helper()
	tenant := id.NewTenant(time.Now())
	require.NoError(t, clone.InTenant(context.Background(), tenant, func(tx *db.Tx) error { return tx.AddTenant(slug, strings.ToUpper(slug)) }))
	return tenant
}

// TestSystemReadsOnlyTheColumnsItIsListedFor lists the tables of which the system role
// sees a part.
func TestSystemReadsOnlyTheColumnsItIsListedFor(t *testing.T) {
	t.Parallel()
	admin := dbtest.New(t).Admin(t)
	rows, err := admin.Query(`select c.table_name || '(' || string_agg(c.column_name::text, ',' order by c.column_name) || ')' from information_schema.column_privileges c
		where c.grantee = 'tollbook_system' and not exists (select from information_schema.role_table_grants g where g.grantee = c.grantee and g.table_name = c.table_name)
		group by c.table_name order by c.table_name`)
	require.NoError(t, err)
	defer rows.Close()
	var granted []string
	for rows.Next() {
		var columns string
		require.NoError(t, rows.Scan(&columns))
		granted = append(granted, columns)
	}
	require.NoError(t, rows.Err())
	require.Equal(t, []string{
		"audit_pending(tenant_id)", "founding(issuer,recorded_at,subject,tenant_id)", "issuer(domains,issuer_id,retired_at,tenant_id)", "member(issuer,kind,member_id,subject,suspended_at,tenant_id)", "usage_batch(batch_id,recorded_at,tenant_id)",
	}, granted)
}
