-- Reason: charges become balanced entries of the books, in cents, once: what is late or wrong is another entry, and a month that is closed takes none (DESIGN 5.2, 5.3, 5.4, 5.9).
-- +goose Up

-- How charges are booked, from a day on that had not begun when it was decided.
create table books_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  treatment text not null check (treatment in ('chargeback', 'showback')),
  payer text not null check (length(payer) <= 40),
  workspace text not null check (length(workspace) between 1 and 100),
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('books_version', 'select, insert');
select make_append_only('books_version', false);

create table journal_entry (
  tenant_id uuid not null references tenant,
  entry_id uuid not null,
  number bigint not null check (number > 0),
  kind text not null check (kind in ('accrual', 'correction', 'reversal', 'residual', 'intercompany', 'suspense')),
  treatment text not null check (treatment in ('chargeback', 'showback')),
  posting_period date not null check (extract(day from posting_period) = 1),
  entry_date date not null check (entry_date >= posting_period and entry_date < posting_period + interval '1 month'),
  source_period date,
  source_day date,
  requests bigint not null check (requests >= 0),
  usage_batches bigint not null,
  adjustment_batches bigint not null,
  charges_pico numeric(38, 0) not null,
  fingerprint text not null, -- of the day's charges by placement when this was made: the same again has nothing to post
  reverses uuid,
  memo text not null check (length(memo) <= 1000),
  lines integer not null check (lines > 0),
  total_cents bigint not null check (total_cents >= 0),
  canonical bytea not null,
  digest bytea not null check (digest = sha256(canonical)),
  change_id uuid,
  record_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, entry_id),
  unique (tenant_id, number),
  unique (tenant_id, reverses),
  foreign key (tenant_id, reverses) references journal_entry,
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, record_id) references audit_record,
  check ((kind = 'reversal') = (reverses is not null)),
  check ((kind in ('accrual', 'correction')) = (source_day is not null)),
  check ((source_day is null) = (source_period is null))
);
create index journal_entry_period on journal_entry (tenant_id, posting_period, number);
create index journal_entry_source on journal_entry (tenant_id, source_period, source_day, number) include (fingerprint) where source_day is not null;
-- A day is accrued once in a month of charges; what follows are corrections.
create unique index journal_entry_accrual on journal_entry (tenant_id, source_period, source_day) where kind = 'accrual';
select make_tenant_table('journal_entry', 'select, insert');
select make_append_only('journal_entry', false);

create table journal_line (
  tenant_id uuid not null references tenant,
  entry_id uuid not null,
  place integer not null check (place > 0),
  account text not null check (account in ('expense', 'capitalized_asset', 'suspense', 'shared_pool', 'rounding', 'reconciliation_residual', 'accrued_liability',
    'intercompany_due_from', 'intercompany_due_to')),
  entity text not null,
  counterparty text not null check ((counterparty <> '' or account not like 'intercompany%') and (counterparty = '' or account like 'intercompany%')),
  node_id uuid,
  node_code text not null,
  node_path text not null,
  gl_account text not null,
  capitalization text not null check (capitalization in ('', 'capitalize', 'expense')),
  workspace text not null,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  cents bigint not null, -- a debit above zero, a credit below
  basis_pico numeric(38, 0) not null,
  memo text not null check (length(memo) <= 1000),
  primary key (tenant_id, entry_id, place),
  foreign key (tenant_id, entry_id) references journal_entry,
  foreign key (tenant_id, node_id) references node,
  check (cents <> 0 or basis_pico <> 0)
);
select make_tenant_table('journal_line', 'select, insert');
select make_append_only('journal_line', false);

-- Once per entry, when its transaction commits: all its lines are there, its debits are what it says, and they balance in each entity and currency.
-- +goose StatementBegin
create function check_journal_entry() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  there bigint;
  debits numeric;
begin
  select count(*), coalesce(sum(cents) filter (where cents > 0), 0) into there, debits from journal_line where tenant_id = new.tenant_id and entry_id = new.entry_id;
  if there <> new.lines or debits <> new.total_cents then
    raise exception 'journal entry % says % lines and % cents, and has % and %', new.number, new.lines, new.total_cents, there, debits using errcode = 'TB011';
  end if;
  if exists (select from journal_line where tenant_id = new.tenant_id and entry_id = new.entry_id group by entity, currency having sum(cents) <> 0) then
    raise exception 'journal entry % does not balance', new.number using errcode = 'TB011';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create constraint trigger balances after insert on journal_entry deferrable initially deferred for each row execute function check_journal_entry();

-- An entry's places are 1 to the number of its lines: with all of them taken, nobody adds one later.
-- +goose StatementBegin
create function check_journal_places() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (select from added a join journal_entry e using (tenant_id, entry_id) where a.place > e.lines) then
    raise exception 'a journal entry has no more lines than it says' using errcode = 'TB011';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create trigger check_places after insert on journal_line referencing new table as added for each statement execute function check_journal_places();

-- Closed is closed: whoever posts holds the month for sharing, and finds it open.
-- +goose StatementBegin
create function check_journal_period() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  stands text;
begin
  select state into stands from period where tenant_id = new.tenant_id and month = new.posting_period for share;
  if stands is null or stands = 'locked' then
    raise exception 'the books of % take no entry', new.posting_period using errcode = 'TB012';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger check_period before insert on journal_entry for each row execute function check_journal_period();
