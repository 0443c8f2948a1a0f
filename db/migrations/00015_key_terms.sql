-- Reason: a key may be limited, and a second secret replaces the first while both are accepted; nothing of either is ever edited (DESIGN 5.2, 5.13).
-- +goose Up
alter table virtual_key add column models text[] not null default '{}';
alter table virtual_key add column requests_per_minute integer not null default 0 check (requests_per_minute >= 0);

-- A key's secrets after its first one, which is in virtual_key. The secrets before one are accepted until the earliest instant any later one states.
create table key_secret (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  key_id uuid not null,
  place integer not null check (place > 1),
  key_hash bytea not null check (length(key_hash) = 32),
  hint text not null,
  earlier_until timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  unique (tenant_id, key_id, place),
  unique (tenant_id, key_hash),
  foreign key (tenant_id, key_id) references virtual_key,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('key_secret', 'select, insert');
select make_append_only('key_secret', false);
grant select on key_secret to tollbook_system;
