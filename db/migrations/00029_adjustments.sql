-- Reason: where a request is charged, and for how much, may turn out wrong while its month is open: a correction is rows that name it, and never an edit (DESIGN 5.2, 5.5, 5.9).
-- +goose Up

-- What one change posted into one month at once, with the bytes that its record in the log covers.
create table adjustment_batch (
  tenant_id uuid not null references tenant,
  batch_id uuid not null,
  change_id uuid not null,
  kind text not null check (kind in ('retag', 'move', 'price')),
  posting_period date not null,
  adjustments integer not null check (adjustments > 0),
  delta_pico numeric(38, 0) not null check (kind = 'price' or delta_pico = 0),
  root bytea not null check (length(root) = 32),
  canonical bytea not null,
  record_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, batch_id),
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, record_id) references audit_record
);
create index adjustment_batch_period on adjustment_batch (tenant_id, posting_period) include (delta_pico);
create index adjustment_batch_change on adjustment_batch (tenant_id, change_id);
select make_tenant_table('adjustment_batch', 'select, insert');
select make_append_only('adjustment_batch', false);

-- One request as it is from then on: the latest of its adjustments says where it is charged and for how much. No foreign key to the request: months of those go as a whole.
create table adjustment (
  tenant_id uuid not null references tenant,
  occurred_at timestamptz not null,
  event_id uuid not null,
  sequence integer not null check (sequence > 0),
  batch_id uuid not null,
  kind text not null check (kind in ('retag', 'move', 'price')),
  posting_period date not null,
  day date not null check (day = (occurred_at at time zone 'UTC')::date),
  key_id uuid not null,
  developer_id uuid,
  model text not null,
  state text not null check (state in ('complete', 'incomplete', 'estimated', 'unpriced', 'error', 'open')),
  placement_id uuid,
  split jsonb,
  input_charge_pico bigint not null,
  output_charge_pico bigint not null,
  cache_write_5m_charge_pico bigint not null,
  cache_write_1h_charge_pico bigint not null,
  cache_read_charge_pico bigint not null,
  charge_pico bigint not null,
  delta_pico bigint not null check (kind = 'price' or delta_pico = 0),
  recorded_at timestamptz not null,
  primary key (tenant_id, occurred_at, event_id, sequence),
  check ((placement_id is null) <> (split is null)),
  foreign key (tenant_id, batch_id) references adjustment_batch,
  foreign key (tenant_id, key_id) references virtual_key,
  foreign key (tenant_id, placement_id) references placement
);
create index adjustment_period on adjustment (tenant_id, posting_period);
create index adjustment_batch_rows on adjustment (tenant_id, batch_id);
select make_tenant_table('adjustment', 'select, insert');
select make_append_only('adjustment', false);

-- What leaves a placement (below zero) and what arrives at one, exactly.
create table adjustment_line (
  tenant_id uuid not null references tenant,
  occurred_at timestamptz not null,
  event_id uuid not null,
  sequence integer not null,
  place smallint not null check (place > 0),
  placement_id uuid not null,
  requests smallint not null,
  errors smallint not null,
  provisional smallint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cache_write_5m_tokens bigint not null,
  cache_write_1h_tokens bigint not null,
  cache_read_tokens bigint not null,
  input_pico bigint not null,
  output_pico bigint not null,
  cache_write_5m_pico bigint not null,
  cache_write_1h_pico bigint not null,
  cache_read_pico bigint not null,
  other_pico bigint not null,
  charge_pico bigint not null,
  primary key (tenant_id, occurred_at, event_id, sequence, place),
  foreign key (tenant_id, occurred_at, event_id, sequence) references adjustment,
  foreign key (tenant_id, placement_id) references placement,
  check (charge_pico = input_pico + output_pico + cache_write_5m_pico + cache_write_1h_pico + cache_read_pico + other_pico)
);
select make_tenant_table('adjustment_line', 'select, insert');
select make_append_only('adjustment_line', false);

-- Whoever writes lines writes all of an adjustment's: they come to what the adjustment says, and make no request and no token.
-- +goose StatementBegin
create function check_adjustment_lines() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (
    select from (select distinct tenant_id, occurred_at, event_id, sequence from added) n
    join adjustment a using (tenant_id, occurred_at, event_id, sequence)
    join adjustment_line l using (tenant_id, occurred_at, event_id, sequence)
    group by a.tenant_id, a.occurred_at, a.event_id, a.sequence
    having sum(l.charge_pico) <> min(a.delta_pico) or sum(l.requests) <> 0 or sum(l.errors) <> 0
      or sum(l.input_tokens) <> 0 or sum(l.output_tokens) <> 0 or sum(l.cache_write_5m_tokens) <> 0 or sum(l.cache_write_1h_tokens) <> 0 or sum(l.cache_read_tokens) <> 0
      or (min(a.kind) <> 'price' and (sum(l.provisional) <> 0 or sum(l.input_pico) <> 0 or sum(l.output_pico) <> 0 or sum(l.cache_write_5m_pico) <> 0
        or sum(l.cache_write_1h_pico) <> 0 or sum(l.cache_read_pico) <> 0 or sum(l.other_pico) <> 0))
  ) then
    raise exception 'the lines of an adjustment do not come to what it says' using errcode = 'TB010';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create trigger check_lines after insert on adjustment_line referencing new table as added for each statement execute function check_adjustment_lines();

-- Requests that a change names by the digest of their ids: more than one record should hold. Whoever proposes the same again names the same row.
create table request_selection (
  tenant_id uuid not null references tenant,
  digest bytea not null check (length(digest) = 32),
  document bytea not null check (length(document) <= 1048576 and sha256(document) = digest),
  recorded_at timestamptz not null,
  primary key (tenant_id, digest)
);
select make_tenant_table('request_selection', 'select, insert');
select make_append_only('request_selection', false);

-- When a change had posted all that it had to: what is done in parts ends with it.
create table adjustment_end (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('adjustment_end', 'select, insert');
select make_append_only('adjustment_end', false);
