-- Reason: who decides about a change is a company's policy, pinned to the change, and each decision in each step is a row of its own (DESIGN 5.8, 7).
-- +goose Up
alter table change_move drop constraint change_move_state_check;
alter table change_move add constraint change_move_state_check check (state in ('proposed', 'approved', 'rejected', 'applied', 'expired'));
alter table change_move drop constraint change_move_basis_check;
alter table change_move add constraint change_move_basis_check check (basis in ('second_person', 'withdrawn', 'sole_person', 'expired'));

create table policy_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  document bytea not null,
  digest bytea not null check (length(digest) = 32),
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('policy_version', 'select, insert');
select make_append_only('policy_version', false);

-- What an edit made of a change that waits; the latest is what is decided about.
create table change_revision (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  revision integer not null check (revision > 1),
  payload bytea not null,
  digest bytea not null check (length(digest) = 32),
  reason text not null,
  effective_from timestamptz not null,
  actor text not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id, revision),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('change_revision', 'select, insert');
select make_append_only('change_revision', false);

-- What a change is held to: the policy as it was when the change was proposed or edited, and what it would do.
create table change_terms (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  revision integer not null check (revision > 0),
  policy_version integer,
  policy bytea not null,
  impact bytea not null,
  expires_at timestamptz, -- null for what Tollbook itself proposes: it waits for somebody
  remind_days integer not null check (remind_days >= 0),
  escalate_at timestamptz,
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id, revision),
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, policy_version) references policy_version
);
select make_tenant_table('change_terms', 'select, insert');
select make_append_only('change_terms', false);

create table delegation (
  tenant_id uuid not null references tenant,
  delegation_id uuid not null,
  from_member_id uuid not null,
  to_member_id uuid not null check (to_member_id <> from_member_id),
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > starts_at),
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, delegation_id),
  foreign key (tenant_id, from_member_id) references member,
  foreign key (tenant_id, to_member_id) references member,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('delegation', 'select, insert');
select make_append_only('delegation', false);

create table delegation_end (
  tenant_id uuid not null references tenant,
  delegation_id uuid not null,
  ended_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, delegation_id),
  foreign key (tenant_id, delegation_id) references delegation,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('delegation_end', 'select, insert');
select make_append_only('delegation_end', false);

create table change_vote (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  vote_id uuid not null,
  step integer not null check (step >= 0),
  member_id uuid not null,
  person_id uuid not null,
  for_member_id uuid,
  for_person_id uuid,
  delegation_id uuid,
  digest bytea not null check (length(digest) = 32),
  basis text not null check (basis in ('second_person', 'sole_person')),
  reason text not null,
  decided_at timestamptz not null,
  primary key (tenant_id, change_id, vote_id),
  unique (tenant_id, change_id, digest, person_id),
  unique (tenant_id, change_id, digest, for_person_id),
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, person_id) references person,
  foreign key (tenant_id, for_member_id) references member,
  foreign key (tenant_id, for_person_id) references person,
  foreign key (tenant_id, delegation_id) references delegation,
  check ((for_member_id is null) = (for_person_id is null) and (for_member_id is null) = (delegation_id is null))
);
select make_tenant_table('change_vote', 'select, insert');
select make_append_only('change_vote', false);

create table change_remark (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  remark_id uuid not null,
  kind text not null check (kind in ('comment', 'question', 'reminder', 'escalation')),
  actor text not null,
  body text not null check (length(body) <= 4000),
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id, remark_id),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('change_remark', 'select, insert');
select make_append_only('change_remark', false);

create table change_attachment (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  attachment_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  media_type text not null,
  sha256 bytea not null check (length(sha256) = 32),
  content bytea not null check (length(content) <= 5242880),
  actor text not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id, attachment_id),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('change_attachment', 'select, insert');
select make_append_only('change_attachment', false);

-- What a change only names by its digest: a file, or what is sealed because nobody may read it.
create table change_document (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  document bytea,
  document_sealed bytea,
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id),
  foreign key (tenant_id, change_id) references change,
  check ((document is null) <> (document_sealed is null))
);
select make_tenant_table('change_document', 'select, insert');
select make_append_only('change_document', false);

-- Whoever stands behind a maker: the person of an account; of a token, whose it is and who made it.
-- +goose StatementBegin
create function maker_persons(the_maker text) returns setof uuid language sql stable set search_path = public, pg_temp as $$
  with account as (select person_id, member_id, 'mem_' || replace(member_id::text, '-', '') as name from member where tenant_id = current_tenant()),
    token as (select k.member_id, c.maker from api_token k join change c on c.tenant_id = k.tenant_id and c.change_id = k.change_id
      where k.tenant_id = current_tenant() and 'tok_' || replace(k.token_id::text, '-', '') = the_maker)
  select distinct a.person_id from account a where a.name = the_maker or a.member_id in (select member_id from token) or a.name in (select maker from token)
$$;
-- +goose StatementEnd
alter function maker_persons(text) owner to tollbook_owner;

-- Maker is not checker here too, whichever account and whomever they stand in for: code that forgets it finds this.
-- +goose StatementBegin
create function refuse_maker_vote() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  the_maker text;
begin
  select c.maker into the_maker from change c where c.tenant_id = new.tenant_id and c.change_id = new.change_id;
  if new.person_id is distinct from (select m.person_id from member m where m.tenant_id = new.tenant_id and m.member_id = new.member_id) then
    raise exception 'a vote is of the person whose account it is' using errcode = 'TB004';
  end if;
  if new.basis <> 'sole_person' and exists (select from maker_persons(the_maker) p where p in (new.person_id, new.for_person_id)) then
    raise exception 'the maker of change % may not approve it', new.change_id using errcode = 'TB004';
  end if;
  return new;
end $$;
-- +goose StatementEnd
alter function refuse_maker_vote() owner to tollbook_owner;
create trigger refuse_maker_vote before insert on change_vote for each row execute function refuse_maker_vote();

-- An approval names persons, not accounts alone.
-- +goose StatementBegin
create or replace function refuse_self_approval() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if new.state = 'approved' and new.basis is distinct from 'sole_person' and exists (
      select from change c where c.tenant_id = new.tenant_id and c.change_id = new.change_id and (c.maker = new.actor
        or exists (select from maker_persons(c.maker) p join member m on m.tenant_id = c.tenant_id and m.person_id = p
          where 'mem_' || replace(m.member_id::text, '-', '') = new.actor))) then
    raise exception 'the maker of change % may not approve it', new.change_id using errcode = 'TB004';
  end if;
  return new;
end $$;
-- +goose StatementEnd
