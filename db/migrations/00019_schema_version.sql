-- Reason: an export says which schema it is of; who runs may read that number and no more, so that it still cannot migrate (DESIGN 5.1).
-- +goose Up
create function public.schema_version() returns bigint language sql stable security definer set search_path = public, pg_temp
as $$ select coalesce(max(version_id), 0) from goose_db_version where is_applied $$;
alter function public.schema_version() owner to tollbook_owner;
revoke execute on function public.schema_version() from public;
grant execute on function public.schema_version() to tollbook_app;
