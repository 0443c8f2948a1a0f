-- Reason: people are invited, mapped from groups, linked, suspended and resumed, each by a change that a review can name (DESIGN 7, access).
-- +goose Up
create table invitation (
  tenant_id uuid not null references tenant,
  invitation_id uuid not null,
  issuer_id uuid not null,
  name_sealed bytea not null,
  email_sealed bytea not null,
  code_hash bytea not null check (length(code_hash) = 32),
  role text not null,
  node_id uuid,
  recorded_at timestamptz not null,
  expires_at timestamptz not null,
  change_id uuid not null,
  accepted_at timestamptz,
  member_id uuid,
  revoked_at timestamptz,
  end_change_id uuid,
  primary key (tenant_id, invitation_id),
  foreign key (tenant_id, issuer_id) references issuer,
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, end_change_id) references change,
  foreign key (tenant_id, member_id) references member,
  check ((accepted_at is null) = (member_id is null)),
  check (accepted_at is null or revoked_at is null)
);
select make_tenant_table('invitation', 'select, insert, update (name_sealed, email_sealed, accepted_at, member_id, revoked_at, end_change_id)');
alter table sign_in add column invitation_id uuid;
alter table sign_in add foreign key (tenant_id, invitation_id) references invitation;

-- member.suspended_at says how it is now; this says how it was at any instant.
create table member_state (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  member_id uuid not null,
  state text not null check (state in ('active', 'suspended')),
  at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, change_id) references change
);
create index member_state_member on member_state (tenant_id, member_id, at);
select make_tenant_table('member_state', 'select, insert');
select make_append_only('member_state', false);

create table member_link (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  member_id uuid not null,
  person_id uuid not null,
  former_person_id uuid not null,
  at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, person_id) references person,
  foreign key (tenant_id, former_person_id) references person,
  foreign key (tenant_id, change_id) references change
);
create index member_link_member on member_link (tenant_id, member_id, at);
select make_tenant_table('member_link', 'select, insert');
select make_append_only('member_link', false);

create table group_mapping (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  issuer_id uuid not null,
  group_name text not null check (length(group_name) between 1 and 200),
  role text not null,
  node_id uuid,
  effective_from timestamptz not null,
  effective_to timestamptz check (effective_to >= effective_from),
  recorded_at timestamptz not null,
  closed_at timestamptz,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, issuer_id) references issuer,
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, change_id) references change,
  check ((effective_to is null) = (closed_at is null))
);
select make_tenant_table('group_mapping', 'select, insert');
select make_append_only('group_mapping', true);
create unique index group_mapping_once on group_mapping (tenant_id, issuer_id, group_name, role, node_id) nulls not distinct where effective_to is null;

-- Which mapping a role comes from, and which change took a role away.
alter table member_role add column mapping_id uuid;
alter table member_role add foreign key (tenant_id, mapping_id) references group_mapping;
create index member_role_member on member_role (tenant_id, member_id);
create table role_end (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, version_id) references member_role,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('role_end', 'select, insert');
select make_append_only('role_end', false);

alter table api_token add column roles text[];
alter table api_token add column last_used_at timestamptz;
alter table api_token add column end_change_id uuid;
create index api_token_member on api_token (tenant_id, member_id);

alter table session add column issuer_id uuid;
create index session_member on session (tenant_id, member_id, recorded_at);

-- An address leads to its company, and a person to the other companies where the same identity is a member.
alter table issuer add column domains text[] not null default '{}';
create index issuer_domains on issuer using gin (domains) where retired_at is null;
grant select (tenant_id, issuer_id, domains, retired_at) on issuer to tollbook_system;
create index member_identity on member (issuer, subject) where kind = 'person';
grant select (tenant_id, member_id, issuer, subject, kind, suspended_at) on member to tollbook_system;

-- Whatever table closes its versions may have them closed: the trigger that allows it says which those are.
-- +goose StatementBegin
create or replace function close_version(which text, the_version uuid, ends timestamptz, closed timestamptz) returns boolean
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  n bigint;
begin
  if not exists (select from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc f on f.oid = t.tgfoid
    where c.relnamespace = 'public'::regnamespace and c.relname = which and f.proname = 'refuse_all_but_closing') then
    raise exception 'close_version knows no table %', which;
  end if;
  execute format('update %I set effective_to = $1, closed_at = $2 where tenant_id = current_tenant() and version_id = $3 and effective_to is null', which)
    using ends, closed, the_version;
  get diagnostics n = row_count;
  return n = 1;
end $$;
-- +goose StatementEnd
