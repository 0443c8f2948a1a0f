-- Reason: a tenant's attribution rules are versions that are added and never edited, each one document, and every request names the version that was asked and the change that put it there (DESIGN 5.2, 5.11).
-- +goose Up
create table rule_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  document bytea not null,
  digest bytea not null check (length(digest) = 32),
  rules integer not null check (rules >= 0),
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('rule_version', 'select, insert');
select make_append_only('rule_version', false);
grant select on rule_version to tollbook_system;

-- Null in what was recorded before there were rules, and where a person chose by signing in; no foreign key, as with the price version.
alter table usage_event add column rule_version integer;
alter table usage_event add column attribution_change_id uuid;

-- What each rule placed, by day: requests that no rule placed have no line here, so that who has no rules pays nothing.
create table rollup_rule_day (
  tenant_id uuid not null references tenant,
  posting_period date not null,
  day date not null,
  rule text not null,
  rule_version integer not null,
  requests bigint not null,
  charge_pico numeric(38, 0) not null,
  primary key (tenant_id, posting_period, day, rule, rule_version)
);
select make_tenant_table('rollup_rule_day', 'select, insert, update');
