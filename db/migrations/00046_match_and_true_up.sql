-- Reason: an invoice is matched with the provider's cost report as well, and what broke off is trued up to what the provider counted (DESIGN 5.2, 5.3, 7).
-- +goose Up

-- How an invoice compared with cost report and ledger when it was booked; those that were booked before have none.
alter table allocation add column match_document bytea;

-- What a true-up adds to a request, beyond what was measured of it: for each reconciling item, by its run and place, a quantity and an amount.
alter table adjustment add column true_up jsonb;

-- A kind more, which like a settled price changes what a request comes to. The checks had names of their own choosing.
-- +goose StatementBegin
do $$
declare
  one record;
begin
  for one in select conrelid::regclass as of_table, conname from pg_constraint
      where contype = 'c' and conrelid in ('adjustment'::regclass, 'adjustment_batch'::regclass) and pg_get_constraintdef(oid) ~ '\mkind\M' loop
    execute format('alter table %s drop constraint %I', one.of_table, one.conname);
  end loop;
end $$;
-- +goose StatementEnd
alter table adjustment_batch add constraint adjustment_batch_kind_check check (kind in ('retag', 'move', 'price', 'true_up'));
alter table adjustment_batch add constraint adjustment_batch_delta check (kind in ('price', 'true_up') or delta_pico = 0);
alter table adjustment add constraint adjustment_kind_check check (kind in ('retag', 'move', 'price', 'true_up'));
alter table adjustment add constraint adjustment_delta check (kind in ('price', 'true_up') or delta_pico = 0);
alter table adjustment add constraint adjustment_true_up check (true_up is null or kind = 'true_up');

-- +goose StatementBegin
create or replace function check_adjustment_lines() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (
    select from (select distinct tenant_id, occurred_at, event_id, sequence from added) n
    join adjustment a using (tenant_id, occurred_at, event_id, sequence)
    join adjustment_line l using (tenant_id, occurred_at, event_id, sequence)
    group by a.tenant_id, a.occurred_at, a.event_id, a.sequence
    having sum(l.charge_pico) <> min(a.delta_pico) or sum(l.requests) <> 0 or sum(l.errors) <> 0
      or sum(l.input_tokens) <> 0 or sum(l.output_tokens) <> 0 or sum(l.cache_write_5m_tokens) <> 0 or sum(l.cache_write_1h_tokens) <> 0 or sum(l.cache_read_tokens) <> 0
      or (min(a.kind) not in ('price', 'true_up') and (sum(l.provisional) <> 0 or sum(l.input_pico) <> 0 or sum(l.output_pico) <> 0 or sum(l.cache_write_5m_pico) <> 0
        or sum(l.cache_write_1h_pico) <> 0 or sum(l.cache_read_pico) <> 0 or sum(l.other_pico) <> 0))
      or coalesce((select sum((p ->> 'amount_pico')::numeric) from jsonb_array_elements(min(a.true_up::text)::jsonb) p), 0) <> case when min(a.kind) = 'true_up' then min(a.delta_pico) else 0 end
  ) then
    raise exception 'the lines of an adjustment do not come to what it says' using errcode = 'TB010';
  end if;
  return null;
end $$;
-- +goose StatementEnd

-- Once per batch, when its transaction commits: what was ever posted for a reconciling item is that item, whole and once; it is of a stream that broke off, on the day of the requests.
-- +goose StatementBegin
create function check_true_up() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (
    with mine as (
      select distinct r.tenant_id, r.run_id, r.day from adjustment a cross join lateral jsonb_array_elements(a.true_up) p
      left join reconciliation r on r.tenant_id = a.tenant_id and r.run_id = (p ->> 'run')::uuid and r.day = a.day
      where a.tenant_id = new.tenant_id and a.batch_id = new.batch_id
    ), posted as (
      select m.tenant_id, m.run_id, (p ->> 'place')::integer as place, sum((p ->> 'quantity')::numeric) as quantity, sum((p ->> 'list_pico')::numeric) as list, sum((p ->> 'amount_pico')::numeric) as amount
      from mine m join adjustment a on a.tenant_id = m.tenant_id and a.occurred_at >= m.day::timestamp at time zone 'UTC' and a.occurred_at < (m.day + 1)::timestamp at time zone 'UTC'
      cross join lateral jsonb_array_elements(a.true_up) p where (p ->> 'run')::uuid = m.run_id group by 1, 2, 3
    )
    select from mine where run_id is null
    union all
    select from posted p left join reconciliation_item i on i.tenant_id = p.tenant_id and i.run_id = p.run_id and i.place = p.place and i.class = 'aborted_stream'
      where (i.quantity, i.list_pico, i.amount_pico) is distinct from (p.quantity, p.list, p.amount)
  ) then
    raise exception 'a true-up is not what its reconciliation found, once' using errcode = 'TB010';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create constraint trigger trues_up after insert on adjustment_batch deferrable initially deferred for each row when (new.kind = 'true_up') execute function check_true_up();
