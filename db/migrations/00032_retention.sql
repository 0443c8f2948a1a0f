-- Reason: what was kept long enough may go, whole months of one company at a time, by a decided change that leaves a tombstone; a legal hold stops it (DESIGN 5.2, 7).
-- +goose Up

-- The kind of a change of a tenant that was approved and not applied yet; null for every other.
create function approved_kind(of_tenant uuid, of_change uuid) returns text language sql stable as $$
  select c.kind from change c where c.tenant_id = of_tenant and c.change_id = of_change
    and (select m.state from change_move m where m.tenant_id = of_tenant and m.change_id = of_change order by m.place desc limit 1) = 'approved'
$$;
alter function approved_kind(uuid, uuid) owner to tollbook_owner;

-- +goose StatementBegin
create function only_by_change() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if approved_kind(new.tenant_id, new.change_id) is distinct from tg_argv[0] then
    raise exception '% needs an approved change of its tenant and kind', tg_table_name using errcode = 'TB004';
  end if;
  return new;
end $$;
-- +goose StatementEnd

-- How long a class is kept, in whole years; the row with the latest effective_from that has come is in force. Without any it is seven.
create table retention_term (
  tenant_id uuid not null references tenant,
  class text not null check (class in ('usage', 'audit', 'notices', 'sessions')),
  change_id uuid not null,
  years integer not null check (years between case when class in ('usage', 'audit') then 7 else 1 end and 100),
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, class, change_id),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('retention_term', 'select, insert');
select make_append_only('retention_term', false);
create trigger only_by_change before insert on retention_term for each row execute function only_by_change('retention');

-- Months that must not be purged, whatever their term; without months: nothing of the company.
create table legal_hold (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  first_month date check (extract(day from first_month) = 1),
  last_month date check (extract(day from last_month) = 1 and last_month >= first_month),
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id),
  foreign key (tenant_id, change_id) references change,
  check ((first_month is null) = (last_month is null))
);
select make_tenant_table('legal_hold', 'select, insert');
select make_append_only('legal_hold', false);
create trigger only_by_change before insert on legal_hold for each row execute function only_by_change('hold');

create table legal_hold_end (
  tenant_id uuid not null references tenant,
  hold_id uuid not null,
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, hold_id),
  foreign key (tenant_id, hold_id) references legal_hold,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('legal_hold_end', 'select, insert');
select make_append_only('legal_hold_end', false);
create trigger only_by_change before insert on legal_hold_end for each row execute function only_by_change('hold_end');

-- What stands where a month's rows of a class were. Only purge writes it.
create table tombstone (
  tenant_id uuid not null references tenant,
  class text not null check (class in ('usage', 'audit', 'notices', 'sessions')),
  month date not null check (extract(day from month) = 1),
  change_id uuid not null,
  row_count bigint not null,
  requests bigint not null,
  charge_pico numeric(38, 0) not null,
  first_sequence bigint,
  last_sequence bigint,
  digest bytea not null check (length(digest) = 32),
  purged_at timestamptz not null,
  primary key (tenant_id, class, month),
  foreign key (tenant_id, change_id) references change
);
create index tombstone_change on tombstone (tenant_id, change_id);
select make_tenant_table('tombstone', 'select');
select make_append_only('tombstone', false);

-- The batches whose requests or adjustments a purge took, each with the root that its record in the log holds.
create table tombstone_batch (
  tenant_id uuid not null references tenant,
  batch_id uuid not null,
  class text not null,
  month date not null,
  root bytea not null check (length(root) = 32),
  row_count bigint not null,
  charge_pico numeric(38, 0) not null,
  record_id uuid not null,
  sequence bigint not null,
  primary key (tenant_id, batch_id),
  foreign key (tenant_id, class, month) references tombstone
);
create index tombstone_batch_month on tombstone_batch (tenant_id, class, month, sequence);
select make_tenant_table('tombstone_batch', 'select');
select make_append_only('tombstone_batch', false);

-- From when on a month's rows of a class have been kept long enough; null while its books are open.
create function retention_ends(of_tenant uuid, of_class text, of_month date, at timestamptz) returns timestamptz language sql stable as $$
  select (case when of_class in ('usage', 'audit')
      then (select greatest(of_month, date_trunc('month', p.changed_at at time zone 'UTC')::date) from period p where p.tenant_id = of_tenant and p.month = of_month and p.state = 'locked')
      else of_month end
    + make_interval(months => 1, years => coalesce((select t.years from retention_term t where t.tenant_id = of_tenant and t.class = of_class and t.effective_from <= at
        order by t.effective_from desc, t.recorded_at desc, t.change_id desc limit 1), 7))) at time zone 'UTC'
$$;
alter function retention_ends(uuid, text, date, timestamptz) owner to tollbook_owner;

-- The holds in force that a month is under.
create function holds_of(of_tenant uuid, of_month date) returns bigint language sql stable as $$
  select count(*) from legal_hold h where h.tenant_id = of_tenant and of_month between coalesce(h.first_month, '-infinity') and coalesce(h.last_month, 'infinity')
    and not exists (select from legal_hold_end e where e.tenant_id = h.tenant_id and e.hold_id = h.change_id)
$$;
alter function holds_of(uuid, date) owner to tollbook_owner;

-- Rows go only where the owner's function purge takes them, of the tenant that it takes them from.
-- +goose StatementBegin
create function refuse_all_but_purge() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if tg_op = 'DELETE' and current_user = 'tollbook_owner' and current_setting('app.purging', true) = old.tenant_id::text then
    return old;
  end if;
  raise exception '% is append-only: a correction is a new row', tg_table_name using errcode = 'TB001';
end $$;
-- +goose StatementEnd
-- A record keeps its place, its time and who did what; its bytes alone may go.
-- +goose StatementBegin
create function refuse_all_but_clearing() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if tg_op = 'UPDATE' and current_user = 'tollbook_owner' and current_setting('app.purging', true) = old.tenant_id::text
     and new.canonical = '' and (to_jsonb(new) - 'canonical') = (to_jsonb(old) - 'canonical') then
    return new;
  end if;
  raise exception '% is append-only: a correction is a new row', tg_table_name using errcode = 'TB001';
end $$;
-- +goose StatementEnd
drop trigger append_only on usage_event;
create trigger append_only before update or delete on usage_event for each row execute function refuse_all_but_purge();
drop trigger append_only on usage_batch;
create trigger append_only before update or delete on usage_batch for each row execute function refuse_all_but_purge();
drop trigger append_only on adjustment_batch;
create trigger append_only before update or delete on adjustment_batch for each row execute function refuse_all_but_purge();
drop trigger append_only on adjustment;
create trigger append_only before update or delete on adjustment for each row execute function refuse_all_but_purge();
drop trigger append_only on adjustment_line;
create trigger append_only before update or delete on adjustment_line for each row execute function refuse_all_but_purge();
drop trigger append_only on notice_delivery;
create trigger append_only before update or delete on notice_delivery for each row execute function refuse_all_but_purge();
drop trigger append_only on notice_step;
create trigger append_only before update or delete on notice_step for each row execute function refuse_all_but_purge();
drop trigger append_only on audit_record;
create trigger append_only before update or delete on audit_record for each row execute function refuse_all_but_clearing();

-- A month's batches with the places of their records.
create function purged_batches(of_tenant uuid, of_month date) returns table (batch_id uuid, root bytea, row_count bigint, charge_pico numeric, record_id uuid, sequence bigint) language sql stable as $$
  select b.batch_id, b.root, b.row_count, b.charge_pico, b.record_id, l.sequence from (
      select batch_id, root, requests::bigint as row_count, amount_pico as charge_pico, record_id from usage_batch where tenant_id = of_tenant and posting_period = of_month
      union all select batch_id, root, adjustments::bigint, delta_pico, record_id from adjustment_batch where tenant_id = of_tenant and posting_period = of_month) b
    left join audit_leaf l on l.tenant_id = of_tenant and l.record_id = b.record_id
$$;
alter function purged_batches(uuid, date) owner to tollbook_owner;

create function clearable_records(of_tenant uuid, since timestamptz, until timestamptz) returns table (record_id uuid, sequence bigint, leaf bytea) language sql stable as $$
  select r.record_id, l.sequence, l.leaf from audit_record r join audit_leaf l on l.tenant_id = r.tenant_id and l.record_id = r.record_id
  where r.tenant_id = of_tenant and r.recorded_at >= since and r.recorded_at < until and r.canonical <> '' and r.action not like 'log.key%' and r.action <> 'retention.purged'
    and not exists (select from issuer_key_set k where k.tenant_id = r.tenant_id and k.record_id = r.record_id)
    and not exists (select from audit_check k where k.tenant_id = r.tenant_id and k.record_id = r.record_id)
$$;
alter function clearable_records(uuid, timestamptz, timestamptz) owner to tollbook_owner;

-- A month's requests, adjustments and batches. What is deleted has to be what its batches say: a purge hides nothing that is missing.
-- +goose StatementBegin
create function purge_usage(of_tenant uuid, of_change uuid, of_month date) returns void language plpgsql set search_path = public, pg_temp as $$
declare
  until timestamptz := (of_month + interval '1 month') at time zone 'UTC';
  events record; adjusted record; batches record; lines bigint; n bigint;
begin
  select count(*) as n, coalesce(sum(charge_pico), 0) as pico into events from usage_event where tenant_id = of_tenant and posting_period = of_month and occurred_at < until;
  select count(*) as n, coalesce(sum(delta_pico), 0) as pico into adjusted from adjustment where tenant_id = of_tenant and posting_period = of_month;
  select (select coalesce(sum(requests), 0) from usage_batch where tenant_id = of_tenant and posting_period = of_month) as requests,
    (select coalesce(sum(amount_pico), 0) from usage_batch where tenant_id = of_tenant and posting_period = of_month) as pico,
    (select coalesce(sum(adjustments), 0) from adjustment_batch where tenant_id = of_tenant and posting_period = of_month) as adjustments,
    (select coalesce(sum(delta_pico), 0) from adjustment_batch where tenant_id = of_tenant and posting_period = of_month) as delta into batches;
  if events.n <> batches.requests or events.pico <> batches.pico or adjusted.n <> batches.adjustments or adjusted.pico <> batches.delta then
    raise exception 'the requests of % are not those that its batches say: % for %, % for %', of_month, events.n, batches.requests, events.pico, batches.pico using errcode = 'TB012';
  end if;
  delete from adjustment_line l using adjustment a where a.tenant_id = of_tenant and a.posting_period = of_month
    and l.tenant_id = of_tenant and l.occurred_at = a.occurred_at and l.event_id = a.event_id and l.sequence = a.sequence;
  get diagnostics lines = row_count;
  insert into tombstone (tenant_id, class, month, change_id, row_count, requests, charge_pico, first_sequence, last_sequence, digest, purged_at)
    select of_tenant, 'usage', of_month, of_change, events.n + adjusted.n + lines + count(*), events.n, events.pico + adjusted.pico, min(b.sequence), max(b.sequence),
      sha256(coalesce(string_agg(b.root, ''::bytea order by b.sequence), '')), now() from purged_batches(of_tenant, of_month) b;
  insert into tombstone_batch (tenant_id, batch_id, class, month, root, row_count, charge_pico, record_id, sequence)
    select of_tenant, b.batch_id, 'usage', of_month, b.root, b.row_count, b.charge_pico, b.record_id, b.sequence from purged_batches(of_tenant, of_month) b;
  delete from adjustment where tenant_id = of_tenant and posting_period = of_month;
  delete from adjustment_batch where tenant_id = of_tenant and posting_period = of_month;
  delete from usage_event where tenant_id = of_tenant and posting_period = of_month and occurred_at < until;
  delete from usage_batch where tenant_id = of_tenant and posting_period = of_month;
end $$;
-- +goose StatementEnd
alter function purge_usage(uuid, uuid, date) owner to tollbook_owner;
revoke execute on function purge_usage(uuid, uuid, date) from public;

-- The bytes of a month's records, as their leaves stay in the tree. Records stay whole that others still rest on: those of log keys, of checks, of issuers' key sets,
-- of purges, and those without a place.
-- +goose StatementBegin
create function purge_audit(of_tenant uuid, of_change uuid, of_month date) returns void language plpgsql set search_path = public, pg_temp as $$
declare
  since timestamptz := of_month::timestamp at time zone 'UTC';
  until timestamptz := (of_month + interval '1 month') at time zone 'UTC';
begin
  if exists (select from usage_batch b join audit_record r using (tenant_id, record_id) where b.tenant_id = of_tenant and r.recorded_at >= since and r.recorded_at < until)
    or exists (select from adjustment_batch b join audit_record r using (tenant_id, record_id) where b.tenant_id = of_tenant and r.recorded_at >= since and r.recorded_at < until) then
    raise exception 'records of % prove requests that are still here: purge those first', of_month using errcode = 'TB013';
  end if;
  insert into tombstone (tenant_id, class, month, change_id, row_count, requests, charge_pico, first_sequence, last_sequence, digest, purged_at)
    select of_tenant, 'audit', of_month, of_change, count(*), 0, 0, min(sequence), max(sequence), sha256(coalesce(string_agg(leaf, ''::bytea order by sequence), '')), now()
    from clearable_records(of_tenant, since, until);
  update audit_record r set canonical = '' from clearable_records(of_tenant, since, until) c where r.tenant_id = of_tenant and r.record_id = c.record_id;
end $$;
-- +goose StatementEnd
alter function purge_audit(uuid, uuid, date) owner to tollbook_owner;
revoke execute on function purge_audit(uuid, uuid, date) from public;

-- +goose StatementBegin
create function purge_rest(of_tenant uuid, of_change uuid, of_class text, of_month date) returns void language plpgsql set search_path = public, pg_temp as $$
declare
  since timestamptz := of_month::timestamp at time zone 'UTC';
  until timestamptz := (of_month + interval '1 month') at time zone 'UTC';
begin
  if of_class = 'notices' then
    insert into tombstone (tenant_id, class, month, change_id, row_count, requests, charge_pico, digest, purged_at)
      select of_tenant, of_class, of_month, of_change, count(*) + (select count(*) from notice_step s join notice_delivery d using (tenant_id, delivery_id)
          where d.tenant_id = of_tenant and d.recorded_at >= since and d.recorded_at < until),
        0, 0, sha256(coalesce(string_agg(content_sha256, ''::bytea order by delivery_id), '')), now()
      from notice_delivery where tenant_id = of_tenant and recorded_at >= since and recorded_at < until;
    delete from notice_step s using notice_delivery d where d.tenant_id = of_tenant and d.recorded_at >= since and d.recorded_at < until and s.tenant_id = of_tenant and s.delivery_id = d.delivery_id;
    delete from notice_delivery where tenant_id = of_tenant and recorded_at >= since and recorded_at < until;
  else
    insert into tombstone (tenant_id, class, month, change_id, row_count, requests, charge_pico, digest, purged_at)
      select of_tenant, of_class, of_month, of_change, count(*), 0, 0, sha256(coalesce(string_agg(uuid_send(session_id), ''::bytea order by session_id), '')), now()
      from session where tenant_id = of_tenant and recorded_at >= since and recorded_at < until;
    delete from session where tenant_id = of_tenant and recorded_at >= since and recorded_at < until;
  end if;
end $$;
-- +goose StatementEnd
alter function purge_rest(uuid, uuid, text, date) owner to tollbook_owner;
revoke execute on function purge_rest(uuid, uuid, text, date) from public;

-- Purges the months that an approved change of the transaction's tenant names, once. It believes nobody: whether a month has been kept long enough, and whether a hold is on it, is looked up here, by the database's own clock.
-- +goose StatementBegin
create function purge(of_change uuid) returns void
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
  perform set_config('app.purging', of_tenant::text, true);
  of_class := said ->> 'class';
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
alter function purge(uuid) owner to tollbook_owner;
revoke execute on function purge(uuid) from public;
grant execute on function purge(uuid) to tollbook_app;
