-- Reason: making a month's partition must neither stop the ledger nor wait in a circle, and a record leaves the queue for the log only (DESIGN 5.1, 5.6).
-- +goose Up
-- +goose StatementBegin
create or replace function ensure_usage_month(of date) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  first date := date_trunc('month', of)::date;
  part text := 'usage_event_' || to_char(first, 'YYYY_MM');
begin
  if first < date '2024-01-01' or first > (now() + interval '24 months')::date then
    raise exception 'usage month % is outside what is kept', first using errcode = 'TB002';
  end if;
  if to_regclass('public.' || part) is not null then
    return;
  end if;
  -- One lock for all months: with one each, a transaction that has made one month and wants a second could wait in a circle.
  perform pg_advisory_xact_lock(hashtextextended('usage months', 0));
  -- Read from the catalog's table: to_regclass answers from this session's cache, which waiting for an advisory lock does not refresh.
  if exists (select from pg_class where relname = part and relnamespace = 'public'::regnamespace) then
    return;
  end if;
  -- Attached rather than created in place: that lock lets every reader and writer of the other months go on until this commits.
  execute format('create table %I (like usage_event including all)', part);
  execute format('alter table %I enable row level security', part);
  execute format('alter table %I force row level security', part);
  execute format('create trigger append_only_truncate before truncate on %I for each statement execute function refuse_change()', part);
  execute format('alter table usage_event attach partition %I for values from (%L) to (%L)',
    part, first::timestamp at time zone 'UTC', (first + interval '1 month')::timestamp at time zone 'UTC');
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function refuse_unplaced() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if not exists (select from audit_leaf l where l.tenant_id = old.tenant_id and l.record_id = old.record_id) then
    raise exception 'audit record % has no place in the log yet', old.record_id using errcode = 'TB003';
  end if;
  return old;
end $$;
-- +goose StatementEnd
create trigger only_placed before delete on audit_pending for each row execute function refuse_unplaced();
