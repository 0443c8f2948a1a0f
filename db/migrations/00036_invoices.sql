-- Reason: what the provider bills is held against the ledger, split to the cent and booked in the place of what was accrued (DESIGN 5.2, 5.3, 5.4, 7).
-- +goose Up

-- Who bears fixed and shared cost, version by version.
create table sharing_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  rules bytea not null,
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('sharing_version', 'select, insert');
select make_append_only('sharing_version', false);

-- An invoice is never edited: a corrected one is the next revision of its number.
create table invoice (
  tenant_id uuid not null references tenant,
  invoice_id uuid not null,
  number text not null check (length(number) between 1 and 200),
  workspace text not null check (length(workspace) between 1 and 200),
  revision integer not null check (revision > 0),
  issuer text not null,
  issued_on date not null,
  due_on date not null check (due_on >= issued_on),
  service_from date not null,
  service_to date not null check (service_to > service_from),
  currency text not null check (currency = 'USD'),
  reference text not null,
  lines integer not null check (lines > 0),
  total_cents bigint not null,
  bills_usage boolean not null,
  canonical bytea not null,
  digest bytea not null check (digest = sha256(canonical)),
  change_id uuid not null,
  record_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, invoice_id),
  unique (tenant_id, workspace, number, revision),
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, record_id) references audit_record
);
create index invoice_cycle on invoice (tenant_id, service_from, service_to);
select make_tenant_table('invoice', 'select, insert');
select make_append_only('invoice', false);

create table invoice_line (
  tenant_id uuid not null references tenant,
  invoice_id uuid not null,
  place integer not null check (place > 0),
  kind text not null check (kind in ('usage', 'discount', 'credit', 'fee', 'seats', 'commitment', 'tax')),
  description text not null,
  node_code text not null,
  cents bigint not null,
  primary key (tenant_id, invoice_id, place),
  foreign key (tenant_id, invoice_id) references invoice
);
select make_tenant_table('invoice_line', 'select, insert');
select make_append_only('invoice_line', false);

-- The paper that came with the invoices of a change.
create table invoice_paper (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  name text not null check (length(name) between 1 and 200),
  media_type text not null,
  sha256 bytea not null check (sha256 = sha256(content)),
  content bytea not null check (length(content) between 1 and 5242880),
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('invoice_paper', 'select, insert');
select make_append_only('invoice_paper', false);

-- A run that was approved and booked. It stands as it is, whatever is charged later, until its entry is taken back.
create table allocation (
  tenant_id uuid not null references tenant,
  allocation_id uuid not null,
  invoice_id uuid not null,
  entry_id uuid, -- none where nothing differed from what was booked
  total_cents bigint not null,
  residual_cents bigint not null,
  ledger_pico numeric(38, 0) not null,
  shares integer not null check (shares >= 0),
  canonical bytea not null,
  digest bytea not null check (digest = sha256(canonical)),
  change_id uuid not null,
  record_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, allocation_id),
  unique (tenant_id, change_id),
  foreign key (tenant_id, invoice_id) references invoice,
  foreign key (tenant_id, entry_id) references journal_entry,
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, record_id) references audit_record
);
create index allocation_invoice on allocation (tenant_id, invoice_id);
select make_tenant_table('allocation', 'select, insert');
select make_append_only('allocation', false);

create table allocation_share (
  tenant_id uuid not null references tenant,
  allocation_id uuid not null,
  place integer not null check (place > 0),
  invoice_place integer not null check (invoice_place > 0),
  node_id uuid not null,
  node_code text not null,
  node_path text not null,
  entity text not null,
  gl_account text not null,
  capitalization text not null check (capitalization in ('capitalize', 'expense')),
  weight numeric(38, 0) not null, -- exact: pico-dollars, basis points or a count, as the rule of the line says
  cents bigint not null,
  primary key (tenant_id, allocation_id, place),
  foreign key (tenant_id, allocation_id) references allocation,
  foreign key (tenant_id, node_id) references node
);
select make_tenant_table('allocation_share', 'select, insert');
select make_append_only('allocation_share', false);

-- Once per run, when its transaction commits: its shares and its residual are the invoice, and each line is borne whole.
-- +goose StatementBegin
create function check_allocation() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  there bigint;
  borne numeric;
begin
  select count(*), coalesce(sum(cents), 0) into there, borne from allocation_share where tenant_id = new.tenant_id and allocation_id = new.allocation_id;
  if there <> new.shares or borne + new.residual_cents <> new.total_cents
    or new.total_cents <> (select total_cents from invoice where tenant_id = new.tenant_id and invoice_id = new.invoice_id) then
    raise exception 'an allocation of % cents in % shares has % and %', new.total_cents, new.shares, borne, there using errcode = 'TB013';
  end if;
  if new.residual_cents = 0 and exists (select from invoice_line l left join allocation_share s on s.tenant_id = l.tenant_id and s.allocation_id = new.allocation_id and s.invoice_place = l.place
      where l.tenant_id = new.tenant_id and l.invoice_id = new.invoice_id group by l.place, l.cents having coalesce(sum(s.cents), 0) <> l.cents) then
    raise exception 'an allocation does not bear each line of its invoice' using errcode = 'TB013';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create constraint trigger adds_up after insert on allocation deferrable initially deferred for each row execute function check_allocation();

alter table journal_entry drop constraint journal_entry_kind_check;
alter table journal_entry add constraint journal_entry_kind_check check (kind in ('accrual', 'correction', 'reversal', 'residual', 'intercompany', 'suspense', 'invoice'));
alter table journal_line drop constraint journal_line_account_check;
alter table journal_line add constraint journal_line_account_check check (account in ('expense', 'capitalized_asset', 'suspense', 'shared_pool', 'rounding', 'reconciliation_residual',
  'accrued_liability', 'payable', 'intercompany_due_from', 'intercompany_due_to'));
