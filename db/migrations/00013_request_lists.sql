-- Reason: lists of requests over millions of rows read what they show and little else; each index stands beside the plan that relies on it.
-- +goose Up

-- What failed or may still change, newest first: few rows among many. Plan: Index Scan Backward using usage_event_unfinished of each month, newest month first.
-- The list says "state <> 'complete'" in so many words, so that a plan made for any values may use it.
create index usage_event_unfinished on usage_event (tenant_id, occurred_at, event_id) where state <> 'complete';

-- The dearest requests first. Plan: Merge Append over Index Scan Backward using usage_event_dearest of each month in the range.
create index usage_event_dearest on usage_event (tenant_id, charge_pico, occurred_at, event_id) where charge_pico > 0;

-- Which days hold what a node, key, model or developer did: the list then reads those days alone, by the primary key. One row per day and group instead of one index entry per
-- request and group. Plans: Index Scan using rollup_placement_day_day; Index Scan using rollup_developer_day_developer; then a Nested Loop of the days found with Index Scan
-- Backward using the primary key of that day's month.
create index rollup_placement_day_day on rollup_placement_day (tenant_id, day);
create index rollup_developer_day_developer on rollup_developer_day (tenant_id, developer_id, day);
