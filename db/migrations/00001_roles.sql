-- Reason: every later table belongs to a role that cannot log in, and the roles that run may do only what they are granted (DESIGN 5.1).
-- +goose Up
-- +goose StatementBegin
do $$
begin
  if not exists (select from pg_roles where rolname = 'tollbook_owner') then create role tollbook_owner nologin nobypassrls; end if;
  if not exists (select from pg_roles where rolname = 'tollbook_migrator') then create role tollbook_migrator login nobypassrls; end if;
  if not exists (select from pg_roles where rolname = 'tollbook_app') then create role tollbook_app login nobypassrls; end if;
  if not exists (select from pg_roles where rolname = 'tollbook_system') then create role tollbook_system login bypassrls; end if;
  grant tollbook_owner to tollbook_migrator;
  if not pg_has_role(current_user, 'tollbook_owner', 'member') then execute format('grant tollbook_owner to %I', current_user); end if;
  if not pg_has_role(current_user, 'tollbook_app', 'member') then execute format('grant tollbook_app to %I', current_user); end if;
  execute format('revoke temporary on database %I from public', current_database());
  execute format('grant create on database %I to tollbook_owner', current_database());
end $$;
-- +goose StatementEnd
revoke create on schema public from public;
grant usage, create on schema public to tollbook_owner;
grant usage on schema public to tollbook_app, tollbook_system;
create schema if not exists river authorization tollbook_app;
-- +goose StatementBegin
create function public.current_tenant() returns uuid language sql stable parallel safe
as $$ select nullif(current_setting('app.tenant_id', true), '')::uuid $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function public.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only: a correction is a new row', tg_table_name using errcode = 'TB001';
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function public.refuse_all_but_closing() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and old.effective_to is null and new.effective_to is not null and old.closed_at is null and new.closed_at is not null
     and (to_jsonb(new) - 'effective_to' - 'closed_at') = (to_jsonb(old) - 'effective_to' - 'closed_at') then
    return new;
  end if;
  raise exception '% is effective-dated: only its open end may be closed, once', tg_table_name using errcode = 'TB001';
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function public.make_tenant_table(which regclass, app_may text) returns void language plpgsql as $$
begin
  execute format('alter table %s owner to tollbook_owner', which);
  execute format('alter table %s enable row level security', which);
  execute format('alter table %s force row level security', which);
  execute format('create policy tenant on %s using (tenant_id = current_tenant()) with check (tenant_id = current_tenant())', which);
  execute format('grant %s on %s to tollbook_app', app_may, which);
end $$;
-- +goose StatementEnd
-- +goose StatementBegin
create function public.make_append_only(which regclass, closing boolean) returns void language plpgsql as $$
begin
  execute format('create trigger append_only before update or delete on %s for each row execute function %s()',
    which, case when closing then 'refuse_all_but_closing' else 'refuse_change' end);
  execute format('create trigger append_only_truncate before truncate on %s for each statement execute function refuse_change()', which);
end $$;
-- +goose StatementEnd
revoke execute on function public.make_tenant_table(regclass, text), public.make_append_only(regclass, boolean) from public;
