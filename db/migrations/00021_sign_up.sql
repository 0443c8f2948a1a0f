-- Reason: where the operator allows it a person founds a company: whom an issuer vouched for is kept for as long as a form takes, and which company was founded so, by whom, for good (DESIGN 7, access).
-- +goose Up
-- An attempt belongs to no company: there is none yet. It holds nothing in the clear and is forgotten an hour after it expires.
create table sign_up (
  sign_up_id uuid primary key,
  state_hash bytea not null check (length(state_hash) = 32),
  ticket_sealed bytea not null,
  recorded_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  claims_sealed bytea,
  token_hash bytea check (length(token_hash) = 32),
  founded_at timestamptz,
  check ((claims_sealed is null) = (token_hash is null)),
  check (claims_sealed is null or used_at is not null),
  check (founded_at is null or claims_sealed is not null)
);
create index sign_up_expires on sign_up (expires_at);
alter table sign_up owner to tollbook_owner;
grant select, insert, update, delete on sign_up to tollbook_app;

-- A company that a person founded, and at which issuer. Every other one was made by who runs the installation.
create table founding (
  tenant_id uuid not null references tenant,
  member_id uuid not null,
  issuer_id uuid not null,
  issuer text not null,
  subject text not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id),
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, issuer_id) references issuer,
  foreign key (tenant_id, change_id) references change
);
create index founding_identity on founding (issuer, subject);
create index founding_recorded on founding (recorded_at);
select make_tenant_table('founding', 'select, insert');
select make_append_only('founding', false);
grant select (tenant_id, issuer, subject, recorded_at) on founding to tollbook_system;
