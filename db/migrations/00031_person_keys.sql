-- Reason: what names a person can be made unreadable for good, in every copy of the rows, by destroying a key that is kept apart from them (DESIGN 5.13, 7).
-- +goose Up
create schema keys authorization tollbook_owner;
grant usage on schema keys to tollbook_app, tollbook_system;

-- A random key for one sealed text; who has not both it and the master key cannot open the text. Backups hold these rows in the keys' set alone.
create table keys.person_key (
  tenant_id uuid not null references tenant,
  kind text not null check (kind in ('person', 'developer', 'login')),
  subject_id uuid not null,
  part text not null check (part in ('name', 'email', 'label')),
  shard bytea check (length(shard) = 32),
  recorded_at timestamptz not null,
  destroyed_at timestamptz,
  primary key (tenant_id, kind, subject_id, part),
  check ((shard is null) = (destroyed_at is not null))
);
select make_tenant_table('keys.person_key', 'select');
grant select on keys.person_key to tollbook_system;

-- Whose keys were destroyed, by which change.
create table erasure (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  kind text not null check (kind in ('person', 'developer')),
  subject_id uuid not null,
  erased jsonb not null,
  erased_at timestamptz not null,
  primary key (tenant_id, change_id, kind, subject_id),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('erasure', 'select');
select make_append_only('erasure', false);

-- A text that was sealed with a key of its own begins with 255 and that key: the key is taken off before the row is stored. A developer's first key stays, and a destroyed one does.
-- +goose StatementBegin
create function keep_shard(of_tenant uuid, of_kind text, of_subject uuid, of_part text, sealed bytea) returns bytea
language plpgsql security definer set search_path = public, pg_temp as $$
begin
  if sealed is null or length(sealed) < 34 or get_byte(sealed, 0) <> 255 then
    return sealed;
  end if;
  insert into keys.person_key (tenant_id, kind, subject_id, part, shard, recorded_at)
    values (of_tenant, of_kind, of_subject, of_part, substr(sealed, 2, 32), now()) on conflict do nothing;
  return substr(sealed, 34);
end $$;
-- +goose StatementEnd
alter function keep_shard(uuid, text, uuid, text, bytea) owner to tollbook_owner;
revoke execute on function keep_shard(uuid, text, uuid, text, bytea) from public;
grant execute on function keep_shard(uuid, text, uuid, text, bytea) to tollbook_app;

-- +goose StatementBegin
create function take_off_shards() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  case tg_table_name
  when 'person' then
    new.name_sealed := keep_shard(new.tenant_id, 'person', new.person_id, 'name', new.name_sealed);
    new.email_sealed := keep_shard(new.tenant_id, 'person', new.person_id, 'email', new.email_sealed);
  when 'developer' then
    new.label_sealed := keep_shard(new.tenant_id, 'developer', new.developer_id, 'label', new.label_sealed);
  when 'login' then
    new.label_sealed := keep_shard(new.tenant_id, 'login', new.login_id, 'label', new.label_sealed);
  end case;
  return new;
end $$;
-- +goose StatementEnd
alter function take_off_shards() owner to tollbook_owner;
create trigger shards before insert on person for each row execute function take_off_shards();
create trigger shards before insert on developer for each row execute function take_off_shards();
create trigger shards before insert on login for each row execute function take_off_shards();

-- The text with its key in front again; without one as it is stored.
-- +goose StatementBegin
create function with_shard(of_tenant uuid, of_kind text, of_subject uuid, of_part text, sealed bytea) returns bytea
language sql stable parallel safe as $$
  select coalesce((select '\xff'::bytea || k.shard || sealed from keys.person_key k
    where k.tenant_id = of_tenant and k.kind = of_kind and k.subject_id = of_subject and k.part = of_part), sealed)
$$;
-- +goose StatementEnd
alter function with_shard(uuid, text, uuid, text, bytea) owner to tollbook_owner;

-- Destroys the keys of one subject and clears what names it. Who calls it answers for having been allowed to: erase for a change, a restore for a change that came after the backup.
-- +goose StatementBegin
create function erase_subject(of_tenant uuid, of_kind text, of_subject uuid, at timestamptz) returns jsonb
language plpgsql set search_path = public, pg_temp as $$
declare
  keys_gone int; accounts int := 0; sessions_gone int := 0; invitations int := 0;
  -- Whose accounts were linked to this person and who has none any more was the same person.
  subjects uuid[] := array(select of_subject union select l.former_person_id from member_link l join member m on m.tenant_id = l.tenant_id and m.member_id = l.member_id
    where of_kind = 'person' and l.tenant_id = of_tenant and m.person_id = of_subject
      and not exists (select from member o where o.tenant_id = l.tenant_id and o.person_id = l.former_person_id));
begin
  update keys.person_key k set shard = null, destroyed_at = at
    where k.tenant_id = of_tenant and k.shard is not null and (k.kind = of_kind and k.subject_id = any(subjects)
      or of_kind = 'person' and k.kind = 'login' and k.subject_id in (select l.login_id from login l join member m on m.tenant_id = l.tenant_id and m.member_id = l.member_id
        where l.tenant_id = of_tenant and m.person_id = of_subject));
  get diagnostics keys_gone = row_count;
  if of_kind = 'developer' then
    update developer set label_sealed = null where tenant_id = of_tenant and developer_id = of_subject;
    return jsonb_build_object('keys', keys_gone, 'labels', 1);
  end if;
  update person set name_sealed = '', email_sealed = null, email_hash = null, erased_at = at where tenant_id = of_tenant and person_id = any(subjects);
  update member set issuer = 'erased', subject = member_id::text where tenant_id = of_tenant and person_id = of_subject;
  get diagnostics accounts = row_count;
  update session s set claims_sealed = '', revoked_at = coalesce(s.revoked_at, at) from member m
    where s.tenant_id = of_tenant and m.tenant_id = of_tenant and m.member_id = s.member_id and m.person_id = of_subject;
  get diagnostics sessions_gone = row_count;
  update invitation i set name_sealed = '', email_sealed = '' from member m
    where i.tenant_id = of_tenant and m.tenant_id = of_tenant and m.member_id = i.member_id and m.person_id = of_subject;
  get diagnostics invitations = row_count;
  return jsonb_build_object('keys', keys_gone, 'accounts', accounts, 'sessions', sessions_gone, 'invitations', invitations);
end $$;
-- +goose StatementEnd
alter function erase_subject(uuid, text, uuid, timestamptz) owner to tollbook_owner;
revoke execute on function erase_subject(uuid, text, uuid, timestamptz) from public;

-- Applies an approved erasure of the transaction's tenant, once.
-- +goose StatementBegin
create function erase(of_change uuid) returns void
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  of_tenant uuid := current_tenant();
  said jsonb;
  one record;
begin
  select convert_from(c.payload, 'UTF8')::jsonb into said from change c where c.tenant_id = of_tenant and c.change_id = of_change and c.kind = 'erasure';
  if said is null or (select m.state from change_move m where m.tenant_id = of_tenant and m.change_id = of_change order by m.place desc limit 1) is distinct from 'approved' then
    raise exception 'an erasure needs an approved change of its tenant and kind' using errcode = 'TB004';
  end if;
  for one in select 'person' as kind, said ->> 'person_id' as subject where said ? 'person_id'
    union all select 'developer', d from jsonb_array_elements_text(said -> 'developer_ids') d loop
    insert into erasure (tenant_id, change_id, kind, subject_id, erased, erased_at)
      values (of_tenant, of_change, one.kind, one.subject::uuid, erase_subject(of_tenant, one.kind, one.subject::uuid, now()), now());
  end loop;
end $$;
-- +goose StatementEnd
alter function erase(uuid) owner to tollbook_owner;
revoke execute on function erase(uuid) from public;
grant execute on function erase(uuid) to tollbook_app;
