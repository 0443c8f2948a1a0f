-- Reason: rows hold opaque ids; names and addresses are sealed per person so that they can be erased (DESIGN 5.13).
-- +goose Up
create table person (
  tenant_id uuid not null references tenant,
  person_id uuid not null,
  name_sealed bytea not null,
  email_sealed bytea,
  email_hash bytea,
  recorded_at timestamptz not null,
  erased_at timestamptz,
  primary key (tenant_id, person_id)
);
select make_tenant_table('person', 'select, insert, update');

create table member (
  tenant_id uuid not null references tenant,
  member_id uuid not null,
  person_id uuid not null,
  kind text not null check (kind in ('person', 'service')),
  issuer text not null,
  subject text not null,
  recorded_at timestamptz not null,
  suspended_at timestamptz,
  primary key (tenant_id, member_id),
  unique (tenant_id, issuer, subject),
  foreign key (tenant_id, person_id) references person
);
select make_tenant_table('member', 'select, insert, update');

create table developer (
  tenant_id uuid not null references tenant,
  developer_id uuid not null,
  person_id uuid,
  label_sealed bytea,
  verified boolean not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, developer_id),
  foreign key (tenant_id, person_id) references person
);
select make_tenant_table('developer', 'select, insert');

create table issuer (
  tenant_id uuid not null references tenant,
  issuer_id uuid not null,
  name text not null,
  url text not null,
  client_id text not null,
  client_secret_sealed bytea not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  retired_at timestamptz,
  primary key (tenant_id, issuer_id)
);
select make_tenant_table('issuer', 'select, insert, update');

create table sign_in (
  tenant_id uuid not null references tenant,
  sign_in_id uuid not null,
  issuer_id uuid not null,
  state_hash bytea not null,
  ticket_sealed bytea not null,
  return_to text not null,
  recorded_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  primary key (tenant_id, sign_in_id),
  foreign key (tenant_id, issuer_id) references issuer
);
select make_tenant_table('sign_in', 'select, insert, update, delete');

create table session (
  tenant_id uuid not null references tenant,
  session_id uuid not null,
  member_id uuid not null,
  token_hash bytea not null,
  claims_sealed bytea not null,
  signed_in_at timestamptz not null,
  recorded_at timestamptz not null,
  seen_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  primary key (tenant_id, session_id),
  foreign key (tenant_id, member_id) references member
);
select make_tenant_table('session', 'select, insert, update');

create table api_token (
  tenant_id uuid not null references tenant,
  token_id uuid not null,
  member_id uuid not null,
  label text not null,
  token_hash bytea not null unique,
  expires_at timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  revoked_at timestamptz,
  primary key (tenant_id, token_id),
  foreign key (tenant_id, member_id) references member
);
select make_tenant_table('api_token', 'select, insert, update');
grant select on api_token to tollbook_system;
