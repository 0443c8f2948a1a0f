-- Reason: an invitation that waits for a decision keeps name and address with its change, which stays as it is; erasing whom it brought in has to reach that copy (DESIGN 5.13).
-- +goose Up
alter table keys.person_key drop constraint person_key_kind_check, drop constraint person_key_part_check;
alter table keys.person_key add constraint person_key_kind_check check (kind in ('person', 'developer', 'login', 'change')),
  add constraint person_key_part_check check (part in ('name', 'email', 'label', 'document'));

-- +goose StatementBegin
create function take_off_document_shard() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  new.document_sealed := keep_shard(new.tenant_id, 'change', new.change_id, 'document', new.document_sealed);
  return new;
end $$;
-- +goose StatementEnd
alter function take_off_document_shard() owner to tollbook_owner;
create trigger shards before insert on change_document for each row execute function take_off_document_shard();

-- Destroys the keys of one subject and clears what names it. Who calls it answers for having been allowed to: erase for a change, a restore for a change that came after the backup.
-- +goose StatementBegin
create or replace function erase_subject(of_tenant uuid, of_kind text, of_subject uuid, at timestamptz) returns jsonb
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
        where l.tenant_id = of_tenant and m.person_id = of_subject)
      or of_kind = 'person' and k.kind = 'change' and k.subject_id in (select i.change_id from invitation i join member m on m.tenant_id = i.tenant_id and m.member_id = i.member_id
        where i.tenant_id = of_tenant and m.person_id = of_subject));
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
