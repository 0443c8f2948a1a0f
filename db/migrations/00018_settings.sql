-- Reason: what a company is called, shows and begins its fiscal year with changes over time, a test of its provider is remembered, and an operator may close it for a while (DESIGN 5.11, 5.14).
-- +goose Up
-- tenant.name is what the company was created as; the open version here, where there is one, says what it is called now.
create table tenant_profile (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  time_zone text not null check (length(time_zone) between 1 and 64),
  fiscal_month smallint not null check (fiscal_month between 1 and 12),
  effective_from timestamptz not null,
  effective_to timestamptz check (effective_to >= effective_from),
  recorded_at timestamptz not null,
  closed_at timestamptz,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, change_id) references change,
  check ((effective_to is null) = (closed_at is null))
);
select make_tenant_table('tenant_profile', 'select, insert');
select make_append_only('tenant_profile', true);
create unique index tenant_profile_now on tenant_profile (tenant_id) where effective_to is null;
grant select on tenant_profile to tollbook_system;

create table upstream_test (
  tenant_id uuid not null references tenant,
  number bigint not null,
  version_id uuid not null,
  outcome text not null check (outcome in ('works', 'refused', 'unreached', 'failing', 'foreign')),
  detail text not null check (length(detail) <= 40),
  http_status integer not null,
  models integer not null,
  took_ms integer not null,
  actor text not null,
  tested_at timestamptz not null,
  primary key (tenant_id, number),
  foreign key (tenant_id, version_id) references upstream
);
select make_tenant_table('upstream_test', 'select, insert');
select make_append_only('upstream_test', false);

-- The state with the highest place is the one in force; without any a company is active.
create table tenant_state (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  place bigint not null check (place > 0),
  state text not null check (state in ('active', 'suspended')),
  at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  unique (tenant_id, place),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('tenant_state', 'select, insert');
select make_append_only('tenant_state', false);
grant select on tenant_state to tollbook_system;
