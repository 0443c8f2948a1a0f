-- Reason: the log proves what it holds: its tree is kept as it grows, its head is signed, and a record is found by who did what to what (DESIGN 7).
-- +goose Up

-- Hashes above the leaves, each written once when the leaves below it are there. Plan: primary key, a few dozen rows a proof.
create table audit_node (
  tenant_id uuid not null references tenant,
  level smallint not null check (level between 1 and 62),
  position bigint not null check (position >= 0),
  hash bytea not null check (length(hash) = 32),
  primary key (tenant_id, level, position)
);
select make_tenant_table('audit_node', 'select, insert');
select make_append_only('audit_node', false);

-- Signed heads of the log. The message is what was signed, and its signature.
create table audit_checkpoint (
  tenant_id uuid not null references tenant,
  size bigint not null check (size > 0),
  root bytea not null check (length(root) = 32),
  message bytea not null check (length(message) <= 65536),
  recorded_at timestamptz not null,
  primary key (tenant_id, size)
);
select make_tenant_table('audit_checkpoint', 'select, insert');
select make_append_only('audit_checkpoint', false);

-- Keys that signed heads of this log, in the order in which they came.
create table audit_key (
  tenant_id uuid not null references tenant,
  verifier text not null check (length(verifier) <= 500),
  recorded_at timestamptz not null,
  primary key (tenant_id, verifier)
);
select make_tenant_table('audit_key', 'select, insert');
select make_append_only('audit_key', false);

-- Which records tell what the verifier found: the newest is one row of the primary key, however long the log is.
create table audit_check (
  tenant_id uuid not null references tenant,
  recorded_at timestamptz not null,
  record_id uuid not null,
  primary key (tenant_id, recorded_at, record_id),
  foreign key (tenant_id, record_id) references audit_record
);
select make_tenant_table('audit_check', 'select, insert');
select make_append_only('audit_check', false);

-- Who, and what about: as in the canonical bytes, which alone are evidence.
alter table audit_record add column actor text, add column subject text;

alter table audit_record no force row level security;
alter table audit_leaf no force row level security;
alter table audit_node no force row level security;
alter table audit_record disable trigger user;
set local role tollbook_owner;
update audit_record set actor = convert_from(canonical, 'UTF8')::jsonb ->> 'actor', subject = coalesce(convert_from(canonical, 'UTF8')::jsonb ->> 'subject', '');
-- +goose StatementBegin
do $$
declare
  above smallint := 1;
begin
  insert into audit_node (tenant_id, level, position, hash)
    select l.tenant_id, 1, l.sequence / 2, sha256('\x01'::bytea || l.leaf || r.leaf)
    from audit_leaf l join audit_leaf r on r.tenant_id = l.tenant_id and r.sequence = l.sequence + 1 where l.sequence % 2 = 0;
  while found loop
    insert into audit_node (tenant_id, level, position, hash)
      select l.tenant_id, above + 1, l.position / 2, sha256('\x01'::bytea || l.hash || r.hash)
      from audit_node l join audit_node r on r.tenant_id = l.tenant_id and r.level = l.level and r.position = l.position + 1
      where l.level = above and l.position % 2 = 0;
    above := above + 1;
  end loop;
end
$$;
-- +goose StatementEnd
reset role;
alter table audit_record enable trigger user;
alter table audit_record force row level security;
alter table audit_leaf force row level security;
alter table audit_node force row level security;
alter table audit_record alter column actor set not null, alter column subject set not null;

-- Plan of the log's page: index scan backward of one of these, a page of rows.
create index audit_record_time on audit_record (tenant_id, recorded_at, record_id);
create index audit_record_action on audit_record (tenant_id, action, recorded_at, record_id);
create index audit_record_actor on audit_record (tenant_id, actor, recorded_at, record_id);
create index audit_record_subject on audit_record (tenant_id, subject, recorded_at, record_id) where subject <> '';
