-- Reason: one row per request, priced once, in monthly partitions nobody but their parent can reach; two rollups answer the pages (DESIGN 5.1, 5.2, 5.10).
-- +goose Up
create table usage_batch (
  tenant_id uuid not null references tenant,
  batch_id uuid not null,
  posting_period date not null,
  requests integer not null,
  amount_pico numeric(38, 0) not null,
  root bytea not null check (length(root) = 32),
  canonical bytea not null,
  record_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, batch_id),
  foreign key (tenant_id, record_id) references audit_record
);
create index usage_batch_period on usage_batch (tenant_id, posting_period) include (requests, amount_pico);
select make_tenant_table('usage_batch', 'select, insert');
select make_append_only('usage_batch', false);

create table usage_event (
  tenant_id uuid not null,
  occurred_at timestamptz not null,
  event_id uuid not null,
  recorded_at timestamptz not null,
  posting_period date not null,
  batch_id uuid not null,
  state text not null check (state in ('complete', 'incomplete', 'estimated', 'unpriced', 'error', 'open')),
  http_status smallint not null,
  request_id text,
  message_id text,
  session_id text,
  agent_id text,
  parent_agent_id text,
  request_class text,
  stop_reason text,
  key_id uuid not null,
  developer_id uuid,
  developer_verified boolean not null,
  model_requested text not null,
  model_served text,
  speed text,
  geography text,
  tier text,
  placement_id uuid,
  split jsonb,
  attribution_rule text not null,
  attribution_snapshot bigint not null,
  declared_project text,
  tags jsonb,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cache_write_5m_tokens bigint not null,
  cache_write_1h_tokens bigint not null,
  cache_read_tokens bigint not null,
  input_rate_pico bigint not null,
  output_rate_pico bigint not null,
  cache_write_5m_rate_pico bigint not null,
  cache_write_1h_rate_pico bigint not null,
  cache_read_rate_pico bigint not null,
  input_charge_pico bigint not null,
  output_charge_pico bigint not null,
  cache_write_5m_charge_pico bigint not null,
  cache_write_1h_charge_pico bigint not null,
  cache_read_charge_pico bigint not null,
  lines jsonb,
  list_pico bigint not null,
  charge_pico bigint not null,
  discount_bps integer not null,
  price_version integer not null,
  flags text[],
  raw_usage bytea,
  upstream_started_at timestamptz,
  first_byte_at timestamptz,
  ended_at timestamptz,
  replica_id uuid not null,
  replica_sequence bigint not null,
  primary key (tenant_id, occurred_at, event_id),
  check ((placement_id is null) <> (split is null))
) partition by range (occurred_at);
create index usage_event_session on usage_event (tenant_id, session_id, occurred_at) where session_id is not null;
create index usage_event_request on usage_event (tenant_id, request_id) where request_id is not null;
select make_tenant_table('usage_event', 'select, insert');
select make_append_only('usage_event', false);

create table rollup_placement_day (
  tenant_id uuid not null references tenant,
  day date not null,
  posting_period date not null,
  placement_id uuid not null,
  key_id uuid not null,
  model text not null,
  requests bigint not null,
  errors bigint not null,
  provisional bigint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  cache_write_5m_tokens bigint not null,
  cache_write_1h_tokens bigint not null,
  cache_read_tokens bigint not null,
  charge_pico numeric(38, 0) not null,
  primary key (tenant_id, posting_period, day, placement_id, key_id, model),
  foreign key (tenant_id, placement_id) references placement,
  foreign key (tenant_id, key_id) references virtual_key
);
select make_tenant_table('rollup_placement_day', 'select, insert, update');

create table rollup_developer_day (
  tenant_id uuid not null references tenant,
  day date not null,
  posting_period date not null,
  placement_id uuid not null,
  developer_id uuid not null,
  requests bigint not null,
  tokens bigint not null,
  charge_pico numeric(38, 0) not null,
  primary key (tenant_id, posting_period, day, placement_id, developer_id),
  foreign key (tenant_id, placement_id) references placement,
  foreign key (tenant_id, developer_id) references developer
);
select make_tenant_table('rollup_developer_day', 'select, insert, update');

-- One row per gateway process: how far its journal has reached the ledger. It belongs to the installation, not to a tenant.
create table replica (
  replica_id uuid primary key,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  flushed_through timestamptz not null,
  pending bigint not null,
  journal_bytes bigint not null,
  ended_at timestamptz
);
alter table replica owner to tollbook_owner;
grant select, insert, update on replica to tollbook_app;

-- +goose StatementBegin
create function ensure_usage_month(of date) returns void
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
  perform pg_advisory_xact_lock(hashtext(part));
  if to_regclass('public.' || part) is not null then
    return;
  end if;
  execute format('create table %I partition of usage_event for values from (%L) to (%L)',
    part, first::timestamp at time zone 'UTC', (first + interval '1 month')::timestamp at time zone 'UTC');
  execute format('alter table %I enable row level security', part);
  execute format('alter table %I force row level security', part);
  execute format('create trigger append_only_truncate before truncate on %I for each statement execute function refuse_change()', part);
end $$;
-- +goose StatementEnd
alter function ensure_usage_month(date) owner to tollbook_owner;
revoke execute on function ensure_usage_month(date) from public;
grant execute on function ensure_usage_month(date) to tollbook_app;
