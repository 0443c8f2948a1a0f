-- Reason: a developer's opaque id must outlive the master key, so the key it is made with is the tenant's own, kept sealed (DESIGN 5.13).
-- +goose Up
create table pseudonym_key (
  tenant_id uuid not null references tenant,
  key_sealed bytea not null,
  recorded_at timestamptz not null,
  primary key (tenant_id)
);
select make_tenant_table('pseudonym_key', 'select, insert, update (key_sealed)');
grant select on pseudonym_key to tollbook_system;
