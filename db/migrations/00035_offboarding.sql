-- Reason: a company that leaves is let go by one decided change: what it signs in and is asked with ends, its credentials are destroyed, and what is kept of it goes when its terms are over (DESIGN 5.2, 7).
-- +goose Up

-- Every export of everything that was finished, with how many batches and entries of the books it holds: whether something came after it is a matter of counting, not of clocks.
create table tenant_export (
  tenant_id uuid not null references tenant,
  manifest_sha256 bytea not null check (length(manifest_sha256) = 32),
  as_of timestamptz not null,
  run_by text not null,
  row_count bigint not null,
  usage_batches bigint not null,
  adjustment_batches bigint not null,
  journal_entries bigint not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, manifest_sha256)
);
select make_tenant_table('tenant_export', 'select, insert');
select make_append_only('tenant_export', false);

-- A company that was let go, once and for good. Only the owner's function offboard writes it.
create table offboarding (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  manifest_sha256 bytea not null,
  offboarded_at timestamptz not null,
  primary key (tenant_id),
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, manifest_sha256) references tenant_export
);
select make_tenant_table('offboarding', 'select');
select make_append_only('offboarding', false);
grant select on offboarding to tollbook_system;

-- A company that was offboarded stays closed.
-- +goose StatementBegin
create function refuse_reopening() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if new.state = 'active' and exists (select from offboarding o where o.tenant_id = new.tenant_id) then
    raise exception 'the company was offboarded' using errcode = 'TB015';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger refuse_reopening before insert on tenant_state for each row execute function refuse_reopening();

-- What the owner takes when nothing of a company is to be kept any longer; nobody else, and of that company alone.
-- +goose StatementBegin
create function taken_whole(of_tenant uuid) returns boolean language sql stable as $$
  select current_user = 'tollbook_owner' and current_setting('app.taking', true) = of_tenant::text
$$;
-- +goose StatementEnd
alter function taken_whole(uuid) owner to tollbook_owner;
-- +goose StatementBegin
create or replace function public.refuse_change() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if public.taken_whole(old.tenant_id) then
      return old;
    end if;
  end if;
  raise exception '% is append-only: a correction is a new row', tg_table_name using errcode = 'TB001';
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create or replace function public.refuse_all_but_closing() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if public.taken_whole(old.tenant_id) then
      return old;
    end if;
  elsif tg_op = 'UPDATE' and old.effective_to is null and new.effective_to is not null and old.closed_at is null and new.closed_at is not null
     and (to_jsonb(new) - 'effective_to' - 'closed_at') = (to_jsonb(old) - 'effective_to' - 'closed_at') then
    return new;
  end if;
  raise exception '% is effective-dated: only its open end may be closed, once', tg_table_name using errcode = 'TB001';
end $$;
-- +goose StatementEnd

-- A credential may be destroyed where its row stays: by the owner's function offboard alone.
-- +goose StatementBegin
create function destroy_sealed() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  what text[] := tg_argv[0]::text[];
begin
  if current_user = 'tollbook_owner' and current_setting('app.offboarding', true) = old.tenant_id::text and (to_jsonb(new) - what) = (to_jsonb(old) - what) then
    return new;
  end if;
  raise exception '% is append-only: a correction is a new row', tg_table_name using errcode = 'TB001';
end $$;
-- +goose StatementEnd
drop trigger append_only on upstream;
create trigger append_only before update or delete on upstream for each row when (current_setting('app.offboarding', true) is distinct from old.tenant_id::text) execute function refuse_all_but_closing();
create trigger destroy_sealed before update or delete on upstream for each row when (current_setting('app.offboarding', true) = old.tenant_id::text) execute function destroy_sealed('{credential_sealed,effective_to,closed_at}');
drop trigger append_only on change_document;
create trigger append_only before update or delete on change_document for each row when (current_setting('app.offboarding', true) is distinct from old.tenant_id::text) execute function refuse_change();
create trigger destroy_sealed before update or delete on change_document for each row when (current_setting('app.offboarding', true) = old.tenant_id::text) execute function destroy_sealed('{document_sealed}');
drop trigger append_only on notice_channel;
create trigger append_only before update or delete on notice_channel for each row when (current_setting('app.offboarding', true) is distinct from old.tenant_id::text) execute function refuse_change();
create trigger destroy_sealed before update or delete on notice_channel for each row when (current_setting('app.offboarding', true) = old.tenant_id::text) execute function destroy_sealed('{url_sealed,secret_sealed}');

-- Lets the transaction's company go under an approved change of that kind, once, and destroys what it calls others with. It believes nobody: whether a hold
-- stands, and whether the export that the change names holds all requests, adjustments and entries, is looked up here.
-- +goose StatementBegin
create function offboard(of_change uuid) returns void
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
      and x.journal_entries = (select count(*) from journal_entry where tenant_id = of_tenant)) then
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
alter function offboard(uuid) owner to tollbook_owner;
revoke execute on function offboard(uuid) from public;
grant execute on function offboard(uuid) to tollbook_app;

-- From when on a month's rows of a class have been kept long enough; null while its books are open. Nobody closes those of a company that was offboarded: its
-- terms run from then.
create or replace function retention_ends(of_tenant uuid, of_class text, of_month date, at timestamptz) returns timestamptz language sql stable as $$
  select (case when of_class in ('usage', 'audit')
      then (select greatest(of_month, date_trunc('month', k.since at time zone 'UTC')::date) from (select coalesce(
          (select p.changed_at from period p where p.tenant_id = of_tenant and p.month = of_month and p.state = 'locked'),
          (select o.offboarded_at from offboarding o where o.tenant_id = of_tenant)) as since) k where k.since is not null)
      else of_month end
    + make_interval(months => 1, years => coalesce((select t.years from retention_term t where t.tenant_id = of_tenant and t.class = of_class and t.effective_from <= at
        order by t.effective_from desc, t.recorded_at desc, t.change_id desc limit 1), 7))) at time zone 'UTC'
$$;

-- The tombstone of all that remained of a company.
alter table tombstone drop constraint tombstone_class_check;
alter table tombstone add constraint tombstone_class_check check (class in ('usage', 'audit', 'notices', 'sessions', 'company'));

-- What stays of a company for good: that it was here, its log with the proofs, its tombstones, and the changes that they name.
create function stays_of_company() returns text[] language sql immutable as $$
  select array['tenant', 'tenant_counter', 'tenant_state', 'tenant_export', 'offboarding', 'period', 'change', 'change_move', 'tombstone', 'tombstone_batch',
    'audit_record', 'audit_pending', 'audit_leaf', 'audit_node', 'audit_checkpoint', 'audit_key', 'audit_key_end', 'audit_check', 'audit_witness', 'issuer_key_set']
$$;
alter function stays_of_company() owner to tollbook_owner;

-- Takes all the rest of a company whose terms are all over. A table whose rows others still name waits for the next round.
-- +goose StatementBegin
create function purge_company(of_tenant uuid, of_change uuid) returns void language plpgsql set search_path = public, pg_temp as $$
declare
  gone offboarding%rowtype;
  until timestamptz;
  tables text[];
  waiting text[];
  one text;
  n bigint;
  total bigint := 0;
  digest bytea;
  parts bytea := '';
begin
  select * into gone from offboarding where tenant_id = of_tenant;
  if gone.tenant_id is null then
    raise exception 'only a company that was offboarded is purged whole' using errcode = 'TB004';
  end if;
  until := (date_trunc('month', gone.offboarded_at at time zone 'UTC') + interval '1 month') at time zone 'UTC';
  if exists (select from usage_event where tenant_id = of_tenant) or exists (select from usage_batch where tenant_id = of_tenant) or exists (select from adjustment_batch where tenant_id = of_tenant)
    or exists (select from notice_delivery where tenant_id = of_tenant) or exists (select from session where tenant_id = of_tenant)
    or exists (select from clearable_records(of_tenant, '-infinity', until)) then
    raise exception 'something of the company is kept for its term' using errcode = 'TB011';
  end if;
  if exists (select from legal_hold h where h.tenant_id = of_tenant and not exists (select from legal_hold_end e where e.tenant_id = h.tenant_id and e.hold_id = h.change_id)) then
    raise exception 'the company is under a legal hold' using errcode = 'TB011';
  end if;
  select array_agg(c.relname order by c.relname) into tables from pg_class c join pg_namespace s on s.oid = c.relnamespace
    where s.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> all (stays_of_company())
      and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped and a.attnotnull);
  foreach one in array tables loop
    execute format('select count(*), sha256(coalesce(string_agg(h, ''''::bytea order by h), '''')) from (select sha256(convert_to(r::text, ''UTF8'')) as h from %I r where tenant_id = $1) x', one)
      into n, digest using of_tenant;
    parts := parts || convert_to(one || ' ' || n || ' ', 'UTF8') || digest;
    total := total + n;
  end loop;
  perform set_config('app.taking', of_tenant::text, true);
  loop
    waiting := '{}';
    foreach one in array tables loop
      begin
        execute format('delete from %I where tenant_id = $1', one) using of_tenant;
      exception when foreign_key_violation then
        waiting := waiting || one;
      end;
    end loop;
    exit when cardinality(waiting) = 0;
    if cardinality(waiting) = cardinality(tables) then
      raise exception 'rows of % are named by rows that stay', waiting using errcode = 'TB017';
    end if;
    tables := waiting;
  end loop;
  update keys.person_key set shard = null, destroyed_at = now() where tenant_id = of_tenant and shard is not null;
  delete from change_move m using change c where m.tenant_id = of_tenant and c.tenant_id = m.tenant_id and c.change_id = m.change_id
    and c.kind <> 'purge' and c.change_id <> gone.change_id and not exists (select from tenant_state s where s.tenant_id = of_tenant and s.change_id = c.change_id);
  get diagnostics n = row_count;
  total := total + n;
  delete from change c where c.tenant_id = of_tenant and c.kind <> 'purge' and c.change_id <> gone.change_id
    and not exists (select from tenant_state s where s.tenant_id = of_tenant and s.change_id = c.change_id);
  get diagnostics n = row_count;
  perform set_config('app.taking', '', true);
  insert into tombstone (tenant_id, class, month, change_id, row_count, requests, charge_pico, digest, purged_at)
    values (of_tenant, 'company', date_trunc('month', gone.offboarded_at at time zone 'UTC')::date, of_change, total + n, 0, 0, sha256(parts), now());
end $$;
-- +goose StatementEnd
alter function purge_company(uuid, uuid) owner to tollbook_owner;
revoke execute on function purge_company(uuid, uuid) from public;

-- As before, and a company whole.
-- +goose StatementBegin
create or replace function purge(of_change uuid) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  of_tenant uuid := current_tenant();
  of_class text;
  of_month date;
  said jsonb;
begin
  select convert_from(c.payload, 'UTF8')::jsonb into said from change c where c.tenant_id = of_tenant and c.change_id = of_change and c.kind = 'purge';
  if said is null or approved_kind(of_tenant, of_change) is distinct from 'purge' or exists (select from tombstone where tenant_id = of_tenant and change_id = of_change) then
    raise exception 'a purge needs an approved change of its tenant and kind that was not used yet' using errcode = 'TB004';
  end if;
  -- Whoever sets a hold waits for this to end, and this waits for them.
  perform pg_advisory_xact_lock(hashtextextended('retention:' || of_tenant, 0));
  of_class := said ->> 'class';
  if of_class = 'company' then
    perform purge_company(of_tenant, of_change);
    return;
  end if;
  perform set_config('app.purging', of_tenant::text, true);
  for of_month in select m::date from jsonb_array_elements_text(said -> 'months') m order by 1 loop
    if (retention_ends(of_tenant, of_class, of_month, now()) <= now()) is not true then
      raise exception '% of % has not been kept long enough', of_class, of_month using errcode = 'TB011';
    end if;
    if holds_of(of_tenant, of_month) > 0 then
      raise exception '% is under a legal hold', of_month using errcode = 'TB011';
    end if;
    case of_class
    when 'usage' then perform purge_usage(of_tenant, of_change, of_month);
    when 'audit' then perform purge_audit(of_tenant, of_change, of_month);
    when 'notices', 'sessions' then perform purge_rest(of_tenant, of_change, of_class, of_month);
    end case;
  end loop;
  perform set_config('app.purging', '', true);
end $$;
-- +goose StatementEnd
