package api

// Codes is the closed list of problems. A test compares it with the codes the source
// can give; a code that is not here is answered as its kind.
func Codes() []string {
	return []string{
		// What a failure is when nothing closer is known.
		"conflict", "forbidden", "internal", "invalid", "limited", "not_found", "unauthenticated", "unavailable",
		// Who asks.
		"not_allowed", "tenant_offboarded", "tenant_suspended", "token_unknown", "tokens_never_decide",
		// How it was asked.
		"body_syntax", "body_too_large", "content_type", "cursor_syntax", "endpoint_absent", "field_type", "field_unknown", "group_by_unknown",
		"id_syntax", "idempotency_key_length", "idempotency_mismatch", "instant_syntax", "limit_range", "method_refused", "parameter_repeated",
		"order_unknown", "parameter_unknown", "period_syntax", "query_slow", "range_empty", "state_unknown",
		// What it was about.
		"book_empty", "book_factor", "book_fraction", "book_gap", "book_line", "book_overlap", "book_size", "book_syntax",
		"change_absent", "change_state", "digest_changed", "discount_day", "discount_range", "kind_unknown", "price_version_absent", "prices_absent",
		"prices_moved", "prices_payload", "policy_version_absent", "change_must_wait", "issuer_domains", "policies_backdated", "issuer_client", "plan_effective",
		"account_unclear", "upstream_loop", "slug_syntax", "last_owner", "roles_same", "plan_same", "delegation_absent", "upstream_same", "issuer_absent", "mapping_known",
		"mappings_many", "account_state", "plan_version_absent", "change_expired", "email_syntax", "payload_syntax", "issuer_name", "last_issuer", "issuers_many",
		"member_absent", "account_linked", "roles_many", "role_scope", "group_text", "upstream_credential", "change_not_revisable", "change_same", "policy_step",
		"policy_kinds", "policy_fresh", "code_reserved", "asked_in_place", "policy_who", "policy_steps", "not_maker", "policy_twice", "policy_amount", "pair_needed", "policy_floor", "policy_escalation", "policy_code",
		"not_asked", "policies_many", "policy_role", "decided_already", "policy_days", "step_later", "change_needs_nobody", "policies_syntax", "prices_same", "self_approval",
		"verdict_unknown",
		"cost_center_absent", "earlier_until_late", "earlier_until_past", "expires_past", "key_absent", "key_expired", "key_of_sign_ins", "key_revoked", "key_secrets_many",
		"label_length", "model_name", "models_many", "node_absent", "project_absent", "projects_many", "reason_missing", "requests_per_minute_range", "row_refused", "taken",
		"capitalization_unknown", "child_unassigned", "children_live", "children_unknown", "code_syntax", "code_taken", "cost_center_ends", "dimension_name",
		"dimension_system", "dimension_value", "dimensions_many", "effective_far", "effective_missing", "entity_length", "evidence_category", "evidence_day", "evidence_flag",
		"evidence_missing", "evidence_order", "evidence_share", "evidence_standard", "evidence_text", "instants_many", "keys_live", "keys_planned", "keys_to_gone", "later_change",
		"member_missing", "member_unwanted", "merge_below", "name_length", "nodes_count", "nodes_same", "op_unknown", "operation_syntax", "operations_count", "operations_syntax",
		"owner_absent", "parent_absent", "part_absent", "parts_count", "suspense_stays", "tree_cycle", "tree_moved",
		// Kinds of changes that others decide about.
		"account_absent", "account_kind", "issuer_domains_unvouched", "issuer_known", "issuer_secret", "issuer_url", "move_backdated", "move_same", "period_closed", "plan_amount",
		"plan_file", "plan_moved", "plan_year", "plans_many", "role_kind", "role_unknown", "slug_taken", "upstream_missing", "upstream_reach", "upstream_url",
		// Attribution rules.
		"request_absent", "rule_code", "rule_conditions", "rule_field", "rule_hours", "rule_key", "rule_key_absent", "rule_name", "rule_node", "rule_node_absent",
		"rule_node_twice", "rule_parts", "rule_pattern", "rule_share", "rule_tag", "rule_value", "rule_values", "rule_verified", "rule_version_absent", "rule_weekday",
		"rule_whole", "rules_backdated", "rules_many", "rules_moved", "rules_node_gone", "rules_payload", "rules_same", "rules_syntax",
		"fresh_sign_in",
		// Requests that are charged elsewhere.
		"amount_syntax", "node_not_then", "parts_node", "parts_share", "parts_twice", "parts_whole", "requests_moved", "retag_dated", "retag_many", "retag_none", "retag_part",
		"retag_requests", "retag_same", "retag_seen", "retire_backdated",
		// The journal.
		"account_unknown", "books_same", "entry_kind_unknown", "journal_entry_absent", "entry_reversed", "payer_unknown", "reversal_billed", "reversal_invoice", "reversal_period", "treatment_unknown", "workspace_length",
		// Files for finance's own systems.
		"account_mapping_file", "account_mapping_moved", "account_mapping_same", "ap_invoice_absent", "ap_unexplained", "export_absent", "export_acknowledged", "export_draft", "export_empty", "export_format",
		"export_format_unknown", "finance_file", "actuals_nothing_exported", "actuals_same", "actuals_total", "decimal", "focus_rows", "export_lines", "export_refused", "export_same", "export_superseded", "export_system_unused",
		// Invoices.
		"allocation_moved", "allocation_node", "allocation_size", "attachment_name", "attachment_size", "invoice_absent", "invoice_allocated", "invoice_cycle_open", "invoice_days_waiting",
		"invoice_file", "invoice_overtaken", "invoice_superseded", "invoice_workspace", "sharing_driver", "sharing_kind", "sharing_method", "sharing_node", "sharing_parts", "sharing_percent",
		"sharing_same", "sharing_twice", "sharing_weight",
		// Reconciliation.
		"day_provisional", "day_unreconciled", "true_up_dated", "true_up_day", "true_up_many", "true_up_moved", "true_up_none",
		"elsewhere_line", "elsewhere_lines", "tolerance_absolute", "tolerance_relative", "tolerance_same", "variance_class_unknown", "variance_state_unknown",
		// What owners say, and dispute.
		"commentary_state_unknown", "dispute_state_unknown", "threshold_above", "threshold_percent",
		// Closes.
		"period_absent", "period_blocked", "period_closing", "period_dated", "period_move", "period_none_open", "period_not_over", "period_open", "period_order", "period_to", "step_applies", "step_waived",
		"materiality_month", "materiality_node", "materiality_same", "period_not_locked", "exports_many", "reconciliation_overtaken", "holiday_line", "holiday_order", "holidays_many", "holidays_same",
		// Channels that hear of changes.
		"channel_absent", "channel_kind", "channel_label", "channel_secret", "channel_syntax", "channel_url", "channels_many",
		// The provider's reports.
		"first_day_range", "gateway_key_syntax", "gateway_keys_many", "repull_range", "settle_range", "source_credential", "source_same",
		// What is kept how long.
		"hold_absent", "hold_ended", "hold_range", "holds_many", "purge_kept", "purge_many", "purge_nothing", "retention_class", "retention_same", "retention_years",
		// A company's end here.
		"tenant_export_absent", "tenant_export_stale", "offboarding_active", "offboarding_busy", "offboarding_held", "offboarding_slug", "offboarding_waits",
		// Kinds of changes that others decide about.
		"erasure_overtaken", "maker_suspended", "member_suspended", "move_planned", "policies_moved", "roles_moved", "token_scope",
		// Us.
		"database_unavailable",
	}
}
