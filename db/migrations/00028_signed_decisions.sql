-- Reason: a decision that a policy marks is confirmed by the decider's issuer for its digest alone, and all that proves it is kept (DESIGN 7).
-- +goose Up

-- An issuer's keys as they were when a decision rested on them, named by their digest; each is a record of the log before that.
create table issuer_key_set (
  tenant_id uuid not null references tenant,
  digest bytea not null check (length(digest) = 32),
  issuer text not null,
  document bytea not null check (length(document) <= 1048576 and sha256(document) = digest),
  record_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, digest),
  foreign key (tenant_id, record_id) references audit_record
);
select make_tenant_table('issuer_key_set', 'select, insert');
select make_append_only('issuer_key_set', false);

-- What a person decides, before their issuer is asked.
create table decision_document (
  tenant_id uuid not null references tenant,
  decision_id uuid not null,
  change_id uuid not null,
  member_id uuid not null,
  issuer_id uuid not null,
  digest bytea not null check (length(digest) = 32),
  document bytea not null check (length(document) <= 16384 and sha256(document) = digest),
  reason text not null,
  state_hash bytea not null,
  ticket_sealed bytea not null,
  recorded_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, decision_id),
  unique (tenant_id, digest),
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, issuer_id) references issuer
);
select make_tenant_table('decision_document', 'select, insert');
select make_append_only('decision_document', false);

-- What came of it, once: refused with a code, or confirmed.
create table decision_outcome (
  tenant_id uuid not null references tenant,
  decision_id uuid not null,
  refused text, -- null: confirmed
  recorded_at timestamptz not null,
  primary key (tenant_id, decision_id),
  foreign key (tenant_id, decision_id) references decision_document
);
select make_tenant_table('decision_outcome', 'select, insert');
select make_append_only('decision_outcome', false);

-- What confirmed it. The token holds what the issuer says of the person, so it is sealed.
create table decision_confirmation (
  tenant_id uuid not null references tenant,
  decision_id uuid not null,
  change_id uuid not null,
  vote_id uuid not null,
  key_set_digest bytea not null,
  key_id text not null,
  token_sealed bytea not null,
  token_digest bytea not null check (length(token_digest) = 32),
  claims_digest bytea not null check (length(claims_digest) = 32),
  auth_time timestamptz not null,
  signature bytea not null check (length(signature) <= 4096),
  recorded_at timestamptz not null,
  primary key (tenant_id, decision_id),
  unique (tenant_id, change_id, vote_id),
  unique (tenant_id, token_digest),
  foreign key (tenant_id, decision_id) references decision_outcome,
  foreign key (tenant_id, change_id, vote_id) references change_vote,
  foreign key (tenant_id, key_set_digest) references issuer_key_set
);
select make_tenant_table('decision_confirmation', 'select, insert');
select make_append_only('decision_confirmation', false);

-- A policy that asks for a fresh sign-in is held to here too: code that forgets it finds this.
-- +goose StatementBegin
create function require_confirmation() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  the_policy text;
begin
  select convert_from(t.policy, 'UTF8') into the_policy from change_terms t where t.tenant_id = new.tenant_id and t.change_id = new.change_id order by t.revision desc limit 1;
  if position('"fresh_sign_in":true' in the_policy) > 0 and not exists (select from decision_confirmation d
      where d.tenant_id = new.tenant_id and d.change_id = new.change_id and d.vote_id = new.vote_id) then
    raise exception 'change % is approved with a fresh sign-in alone', new.change_id using errcode = 'TB004';
  end if;
  return null;
end $$;
-- +goose StatementEnd
alter function require_confirmation() owner to tollbook_owner;
create constraint trigger require_confirmation after insert on change_vote deferrable initially deferred for each row execute function require_confirmation();
