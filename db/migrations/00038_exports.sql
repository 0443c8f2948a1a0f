-- Reason: finance imports the journal into its own system, and has to be able to say later what was in the file, who let it out, and what the system made of it (DESIGN 5.2, 7).
-- +goose Up

-- What one system calls our accounts, nodes, entities and months. The latest version is in force; its rules hold from a day until another.
create table account_mapping (
  tenant_id uuid not null references tenant,
  system text not null check (system in ('journal', 'netsuite', 'oracle', 'quickbooks', 'sap', 'workday', 'xero')),
  version integer not null check (version > 0),
  in_use boolean not null, -- whether the company exports to this system
  document bytea not null,
  digest bytea not null check (digest = sha256(document)),
  rules integer not null,
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, system, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('account_mapping', 'select, insert');
select make_append_only('account_mapping', false);

-- One journal as it was exported to one system: of a month and an entity, with what no earlier one held. A draft is of a month that is not over.
create table journal_export (
  tenant_id uuid not null references tenant,
  export_id uuid not null,
  number bigint not null check (number > 0),
  system text not null,
  posting_period date not null check (extract(day from posting_period) = 1),
  entity text not null,
  draft boolean not null,
  revision integer not null check (revision > 0),
  external_id text not null,
  mapping_version integer not null,
  supersedes uuid, -- that was never imported, and is replaced by this
  entries integer not null check (entries > 0),
  lines integer not null check (lines > 1),
  total_cents bigint not null check (total_cents > 0),
  digest bytea not null check (length(digest) = 32), -- over the digests of its files, in order
  record_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, export_id),
  unique (tenant_id, number),
  unique (tenant_id, system, external_id),
  unique (tenant_id, system, posting_period, entity, draft, revision),
  unique (tenant_id, supersedes),
  foreign key (tenant_id, system, mapping_version) references account_mapping,
  foreign key (tenant_id, supersedes) references journal_export,
  foreign key (tenant_id, record_id) references audit_record,
  check (supersedes is null or not draft)
);
select make_tenant_table('journal_export', 'select, insert');
select make_append_only('journal_export', false);

create table journal_export_entry (
  tenant_id uuid not null references tenant,
  export_id uuid not null,
  entry_id uuid not null,
  primary key (tenant_id, export_id, entry_id),
  foreign key (tenant_id, export_id) references journal_export,
  foreign key (tenant_id, entry_id) references journal_entry
);
create index journal_export_entry_entry on journal_export_entry (tenant_id, entry_id);
select make_tenant_table('journal_export_entry', 'select, insert');
select make_append_only('journal_export_entry', false);

create table journal_export_file (
  tenant_id uuid not null references tenant,
  export_id uuid not null,
  place integer not null check (place > 0),
  name text not null check (length(name) <= 200),
  content bytea not null,
  digest bytea not null check (digest = sha256(content)),
  manifest bytea not null,
  primary key (tenant_id, export_id, place),
  foreign key (tenant_id, export_id) references journal_export
);
select make_tenant_table('journal_export_file', 'select, insert');
select make_append_only('journal_export_file', false);

-- What each document of an export posts to each account, in the words of the system.
create table journal_export_posting (
  tenant_id uuid not null references tenant,
  export_id uuid not null,
  document text not null,
  entity text not null,
  account text not null,
  debit_cents bigint not null check (debit_cents >= 0),
  credit_cents bigint not null check (credit_cents >= 0),
  primary key (tenant_id, export_id, document, entity, account),
  foreign key (tenant_id, export_id) references journal_export
);
select make_tenant_table('journal_export_posting', 'select, insert');
select make_append_only('journal_export_posting', false);

-- Whether the books of a month in a state take no entry: what is exported of it is not a draft.
create function month_is_final(state text) returns boolean language sql immutable as $$ select state in ('locked', 'closed') $$;

-- An entry goes to a system once for each entity: in a draft never for good, and again only in what takes the place of a journal that was not imported.
-- +goose StatementBegin
create function check_journal_export() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (select from journal_export x join journal_export_entry e using (tenant_id, export_id)
    join journal_export_entry f on f.tenant_id = e.tenant_id and f.entry_id = e.entry_id and f.export_id <> e.export_id
    join journal_export o on o.tenant_id = f.tenant_id and o.export_id = f.export_id
    where x.tenant_id = new.tenant_id and x.export_id = new.export_id and not x.draft and not o.draft and o.system = x.system and o.entity = x.entity
      and not exists (select from journal_export s where s.tenant_id = o.tenant_id and s.supersedes = o.export_id)
      and not exists (select from journal_export s where s.tenant_id = x.tenant_id and s.supersedes = x.export_id)) then
    raise exception 'export % holds an entry that went to % before', new.external_id, new.system using errcode = 'TB013';
  end if;
  if not new.draft and not exists (select from period p where p.tenant_id = new.tenant_id and p.month = new.posting_period and month_is_final(p.state)) then
    raise exception 'export % is of a month that is not over, and no draft', new.external_id using errcode = 'TB013';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create constraint trigger exported_once after insert on journal_export deferrable initially deferred for each row execute function check_journal_export();

-- What the system made of a document: the latest row of each counts.
create table export_acknowledgment (
  tenant_id uuid not null references tenant,
  export_id uuid not null,
  document text not null,
  place integer not null check (place > 0),
  erp_id text not null check (length(erp_id) between 1 and 100),
  posted_on date not null,
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, export_id, document, place),
  foreign key (tenant_id, export_id) references journal_export,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('export_acknowledgment', 'select, insert');
select make_append_only('export_acknowledgment', false);

-- A draft is nothing to import, so that no system has an id for it.
-- +goose StatementBegin
create function check_acknowledgment() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (select from journal_export where tenant_id = new.tenant_id and export_id = new.export_id and draft) then
    raise exception 'a draft is not acknowledged' using errcode = 'TB013';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger check_draft before insert on export_acknowledgment for each row execute function check_acknowledgment();

-- What the general ledger says of a month, as it was imported: the latest import counts.
create table gl_actuals (
  tenant_id uuid not null references tenant,
  system text not null,
  posting_period date not null check (extract(day from posting_period) = 1),
  place integer not null check (place > 0),
  content bytea not null,
  digest bytea not null check (digest = sha256(content)),
  lines integer not null check (lines > 0),
  debit_cents bigint not null,
  credit_cents bigint not null,
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, system, posting_period, place),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('gl_actuals', 'select, insert');
select make_append_only('gl_actuals', false);

create table gl_actual_line (
  tenant_id uuid not null references tenant,
  system text not null,
  posting_period date not null,
  place integer not null,
  line integer not null check (line > 0), -- of the file
  entity text not null,
  account text not null,
  debit_cents bigint not null check (debit_cents >= 0),
  credit_cents bigint not null check (credit_cents >= 0),
  external_id text not null,
  erp_id text not null,
  primary key (tenant_id, system, posting_period, place, line),
  foreign key (tenant_id, system, posting_period, place) references gl_actuals
);
select make_tenant_table('gl_actual_line', 'select, insert');
select make_append_only('gl_actual_line', false);
