-- Reason: what was approved to be spent, by node and month, in versions that are added and never edited (DESIGN 5.2, 5.11).
-- +goose Up
create table plan_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  first_month date not null check (extract(day from first_month) = 1),
  ordinal integer not null check (ordinal >= 0),
  document bytea not null,
  digest bytea not null check (length(digest) = 32),
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  unique (tenant_id, first_month, ordinal),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('plan_version', 'select, insert');
select make_append_only('plan_version', false);

create table plan_amount (
  tenant_id uuid not null references tenant,
  version integer not null,
  month date not null check (extract(day from month) = 1),
  node_id uuid not null,
  amount_cents bigint not null check (amount_cents between 0 and 1000000000000),
  primary key (tenant_id, version, month, node_id),
  foreign key (tenant_id, version) references plan_version,
  foreign key (tenant_id, node_id) references node
);
select make_tenant_table('plan_amount', 'select, insert');
select make_append_only('plan_amount', false);
