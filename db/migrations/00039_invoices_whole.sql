-- Reason: what was entered or allocated takes no line later, an invoice is its lines, and an export that is handed over holds every invoice (DESIGN 5.2, 5.4, 7).
-- +goose Up

-- Once per invoice, when its transaction commits: its lines are all there, and add up to its total.
-- +goose StatementBegin
create function check_invoice() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  there bigint;
  billed numeric;
begin
  select count(*), coalesce(sum(cents), 0) into there, billed from invoice_line where tenant_id = new.tenant_id and invoice_id = new.invoice_id;
  if there <> new.lines or billed <> new.total_cents then
    raise exception 'an invoice of % cents in % lines has % in %', new.total_cents, new.lines, billed, there using errcode = 'TB013';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create constraint trigger adds_up after insert on invoice deferrable initially deferred for each row execute function check_invoice();

-- Places are 1 to how many there are: with all of them taken, nobody adds one later.
-- +goose StatementBegin
create function check_invoice_places() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (select from added a join invoice i using (tenant_id, invoice_id) where a.place > i.lines) then
    raise exception 'an invoice has no more lines than it says' using errcode = 'TB013';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create trigger check_places after insert on invoice_line referencing new table as added for each statement execute function check_invoice_places();
-- +goose StatementBegin
create function check_allocation_places() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (select from added s join allocation a using (tenant_id, allocation_id) where s.place > a.shares) then
    raise exception 'an allocation has no more shares than it says' using errcode = 'TB013';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create trigger check_places after insert on allocation_share referencing new table as added for each statement execute function check_allocation_places();

-- An export holds every invoice, booked or not.
alter table tenant_export add column invoices bigint not null default 0;
-- +goose StatementBegin
create or replace function offboard(of_change uuid) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  of_tenant uuid := current_tenant();
  manifest bytea;
begin
  if approved_kind(of_tenant, of_change) is distinct from 'offboarding' or exists (select from offboarding where tenant_id = of_tenant) then
    raise exception 'offboarding needs an approved change of its tenant and kind, once' using errcode = 'TB004';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('retention:' || of_tenant, 0));
  if exists (select from legal_hold h where h.tenant_id = of_tenant and not exists (select from legal_hold_end e where e.tenant_id = h.tenant_id and e.hold_id = h.change_id)) then
    raise exception 'the company is under a legal hold' using errcode = 'TB011';
  end if;
  select decode(convert_from(c.payload, 'UTF8')::jsonb ->> 'export', 'hex') into manifest from change c where c.tenant_id = of_tenant and c.change_id = of_change;
  if not exists (select from tenant_export x where x.tenant_id = of_tenant and x.manifest_sha256 = manifest
      and x.usage_batches = (select count(*) from usage_batch where tenant_id = of_tenant)
      and x.adjustment_batches = (select count(*) from adjustment_batch where tenant_id = of_tenant)
      and x.journal_entries = (select count(*) from journal_entry where tenant_id = of_tenant)
      and x.invoices = (select count(*) from invoice where tenant_id = of_tenant)) then
    raise exception 'the export that the change names does not hold everything' using errcode = 'TB016';
  end if;
  insert into offboarding (tenant_id, change_id, manifest_sha256, offboarded_at) values (of_tenant, of_change, manifest, now());
  perform set_config('app.offboarding', of_tenant::text, true);
  update upstream set credential_sealed = '', effective_to = coalesce(effective_to, greatest(effective_from, now())), closed_at = coalesce(closed_at, now()) where tenant_id = of_tenant;
  update change_document set document_sealed = '' where tenant_id = of_tenant and document_sealed is not null;
  update notice_channel set url_sealed = '', secret_sealed = case when secret_sealed is null then null else ''::bytea end where tenant_id = of_tenant;
  perform set_config('app.offboarding', '', true);
end $$;
-- +goose StatementEnd
