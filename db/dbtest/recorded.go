package dbtest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// unrecorded are the tenant tables a transaction may write to without a record in the
// log, each with the reason.
func unrecorded() map[string]string {
	return map[string]string{
		"audit_record":         "the log itself",
		"audit_pending":        "the log itself",
		"audit_leaf":           "the log itself",
		"audit_node":           "the log itself",
		"audit_checkpoint":     "the log itself: a head is signed over records, and is none",
		"audit_check":          "the log itself",
		"audit_witness":        "a sight of a head is a row that stays; a record of each would make another head, without end",
		"tenant_counter":       "numbers, taken by what is recorded",
		"idempotency":          "the answer to a request that is recorded itself",
		"usage_event":          "its batch is recorded",
		"rollup_placement_day": "sums of what is recorded",
		"rollup_developer_day": "sums of what is recorded",
		"rollup_class_day":     "sums of what is recorded",
		"rollup_rule_day":      "sums of what is recorded",
		"placement":            "an interned tuple of node versions that are recorded",
		"developer":            "an interned pseudonym of who sent a request",
		"sign_in":              "who stands at the door is nobody yet; coming in and being refused are recorded",
		"provider_pull":        "how it ended is recorded",
		"provider_page":        "the record of its pull's end holds the digest over all pages",
		"notice_delivery":      "a letter due for what is recorded",
		"packet_seal":          "what the log says of a packet, whose record came before",
		"packet_ask_end":       "what came of an ask that is recorded; a packet that was built is recorded itself",
		"packet_step":          "an attempt to deliver a packet is a row of its own that stays; that it arrived, and sending again, are recorded",
		"notice_step":          "an attempt to deliver one is a row of its own that stays; sending again is recorded",
	}
}

// watched are the writes of a table that need a record, where not all do.
func watched() map[string]string {
	return map[string]string{
		"api_token": "insert or update of revoked_at or delete", // used is not changed
		"session":   "insert or update of revoked_at or delete", // nor is seen
		"login_ask": "update of member_id, denied_at or delete", // asking and polling need nobody's leave
	}
}

// watchRecords makes a template's every transaction that writes to a tenant's tables fail
// as it commits, unless it appends a record of the log too. So each test of a use case
// proves the record of what it does, and a use case without one fails in its own tests.
func watchRecords(ctx context.Context, dsn string) (err error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return err
	}
	admin := stdlib.OpenDB(*cfg)
	defer func() { err = errors.Join(err, admin.Close()) }()
	if _, err := admin.ExecContext(ctx, `
		create function test_recorded() returns trigger language plpgsql as $$
		begin perform set_config('tollbook.test_recorded', '1', true); return null; end $$;
		create trigger test_recorded after insert on audit_record for each statement execute function test_recorded();
		create function test_unrecorded() returns trigger language plpgsql as $$
		begin
			if current_setting('tollbook.test_recorded', true) is distinct from '1' and current_user in ('tollbook_app', 'tollbook_system') then
				raise exception 'a transaction wrote to % and left no record in the log', tg_table_name;
			end if;
			return null;
		end $$`); err != nil {
		return fmt.Errorf("make the watch: %w", err)
	}
	tables, err := tenantTables(ctx, admin)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if unrecorded()[table] != "" {
			continue
		}
		writes := cmp.Or(watched()[table], "insert or update or delete")
		if _, err := admin.ExecContext(ctx, `create constraint trigger test_unrecorded after `+writes+` on `+pgx.Identifier{table}.Sanitize()+
			` deferrable initially deferred for each row execute function test_unrecorded()`); err != nil {
			return fmt.Errorf("watch %s: %w", table, err)
		}
	}
	return nil
}

func tenantTables(ctx context.Context, admin *sql.DB) ([]string, error) {
	rows, err := admin.QueryContext(ctx, `select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition order by 1`)
	if err != nil {
		return nil, fmt.Errorf("list tenant tables: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list tenant tables: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
