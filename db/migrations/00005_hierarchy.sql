-- Reason: who owned what, as of any instant and as known at any instant: versions are added, never edited (DESIGN 5.11).
-- +goose Up
create table node (
  tenant_id uuid not null references tenant,
  node_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, node_id)
);
select make_tenant_table('node', 'select, insert');
select make_append_only('node', false);

create table node_version (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  node_id uuid not null,
  code text not null,
  name text not null,
  kind text not null check (kind in ('business_unit', 'cost_center', 'project')),
  parent_id uuid,
  owner_id uuid,
  entity text not null default '',
  gl_account text not null default '',
  capitalization text not null check (capitalization in ('capitalize', 'expense')),
  effective_from timestamptz not null,
  effective_to timestamptz check (effective_to >= effective_from),
  recorded_at timestamptz not null,
  closed_at timestamptz,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, parent_id) references node,
  foreign key (tenant_id, owner_id) references member,
  foreign key (tenant_id, change_id) references change,
  check ((effective_to is null) = (closed_at is null))
);
create index node_version_node on node_version (tenant_id, node_id, effective_from);
select make_tenant_table('node_version', 'select, insert');
select make_append_only('node_version', true);

create table placement (
  tenant_id uuid not null references tenant,
  placement_id uuid not null,
  node_id uuid not null,
  ancestor_ids uuid[] not null,
  path text[] not null,
  entity text not null,
  capitalization text not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, placement_id),
  foreign key (tenant_id, node_id) references node
);
select make_tenant_table('placement', 'select, insert');
select make_append_only('placement', false);

create table virtual_key (
  tenant_id uuid not null references tenant,
  key_id uuid not null,
  label text not null check (length(label) between 1 and 200),
  key_hash bytea not null check (length(key_hash) = 32),
  hint text not null,
  expires_at timestamptz,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, key_id),
  unique (tenant_id, key_hash),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('virtual_key', 'select, insert');
select make_append_only('virtual_key', false);

create table key_revocation (
  tenant_id uuid not null references tenant,
  key_id uuid not null,
  reason text not null,
  revoked_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, key_id),
  foreign key (tenant_id, key_id) references virtual_key,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('key_revocation', 'select, insert');
select make_append_only('key_revocation', false);

create table key_assignment (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  key_id uuid not null,
  node_id uuid not null,
  project_ids uuid[] not null,
  effective_from timestamptz not null,
  effective_to timestamptz check (effective_to >= effective_from),
  recorded_at timestamptz not null,
  closed_at timestamptz,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, key_id) references virtual_key,
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, change_id) references change,
  check ((effective_to is null) = (closed_at is null))
);
create index key_assignment_key on key_assignment (tenant_id, key_id, effective_from);
select make_tenant_table('key_assignment', 'select, insert');
select make_append_only('key_assignment', true);

create table member_role (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  member_id uuid not null,
  role text not null,
  node_id uuid,
  effective_from timestamptz not null,
  effective_to timestamptz check (effective_to >= effective_from),
  recorded_at timestamptz not null,
  closed_at timestamptz,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, change_id) references change,
  check ((effective_to is null) = (closed_at is null))
);
select make_tenant_table('member_role', 'select, insert');
select make_append_only('member_role', true);

create table upstream (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  base_url text not null,
  credential_sealed bytea not null,
  effective_from timestamptz not null,
  effective_to timestamptz check (effective_to >= effective_from),
  recorded_at timestamptz not null,
  closed_at timestamptz,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, change_id) references change,
  check ((effective_to is null) = (closed_at is null))
);
select make_tenant_table('upstream', 'select, insert');
select make_append_only('upstream', true);

create table price_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  document bytea not null,
  digest bytea not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('price_version', 'select, insert');
select make_append_only('price_version', false);

grant select on node, node_version, placement, virtual_key, key_revocation, key_assignment, upstream, price_version, change to tollbook_system;

-- The only update an effective-dated row ever sees. It runs as the owner, who is subject to the tenant policy like everyone else.
-- +goose StatementBegin
create function close_version(which text, the_version uuid, ends timestamptz, closed timestamptz) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  n bigint;
begin
  if which not in ('node_version', 'key_assignment', 'member_role', 'upstream') then
    raise exception 'close_version knows no table %', which;
  end if;
  execute format('update %I set effective_to = $1, closed_at = $2 where tenant_id = current_tenant() and version_id = $3 and effective_to is null', which)
    using ends, closed, the_version;
  get diagnostics n = row_count;
  return n = 1;
end $$;
-- +goose StatementEnd
alter function close_version(text, uuid, timestamptz, timestamptz) owner to tollbook_owner;
revoke execute on function close_version(text, uuid, timestamptz, timestamptz) from public;
grant execute on function close_version(text, uuid, timestamptz, timestamptz) to tollbook_app;
