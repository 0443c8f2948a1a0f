-- Reason: a tenant is the root of every key, and its human numbers and months of the books start with it.
-- +goose Up
create table tenant (
  tenant_id uuid primary key,
  slug text not null unique check (slug ~ '^[a-z][a-z0-9-]{1,39}$'),
  name text not null check (length(name) between 1 and 200),
  recorded_at timestamptz not null
);
select make_tenant_table('tenant', 'select, insert');
select make_append_only('tenant', false);
grant select on tenant to tollbook_system;

create table tenant_counter (
  tenant_id uuid not null references tenant,
  counter text not null,
  value bigint not null,
  primary key (tenant_id, counter)
);
select make_tenant_table('tenant_counter', 'select, insert, update');

create table period (
  tenant_id uuid not null references tenant,
  month date not null check (extract(day from month) = 1),
  state text not null check (state in ('open', 'closing', 'locked')),
  changed_at timestamptz not null,
  primary key (tenant_id, month)
);
select make_tenant_table('period', 'select, insert, update');
