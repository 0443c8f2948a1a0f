-- Reason: with a company that is let go, where its packets go and the secrets they are sent with go too: in the same statement as the row that says so (DESIGN 7, Exports).
-- +goose Up

drop trigger append_only on packet_recipient;
create trigger append_only before update or delete on packet_recipient for each row when (current_setting('app.offboarding', true) is distinct from old.tenant_id::text) execute function refuse_change();
create trigger destroy_sealed before update or delete on packet_recipient for each row when (current_setting('app.offboarding', true) = old.tenant_id::text) execute function destroy_sealed('{address_sealed,secret_sealed}');
-- +goose StatementBegin
create function destroy_recipients() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  perform set_config('app.offboarding', new.tenant_id::text, true);
  update packet_recipient set address_sealed = case when address_sealed is not null then ''::bytea end, secret_sealed = case when secret_sealed is not null then ''::bytea end where tenant_id = new.tenant_id;
  perform set_config('app.offboarding', '', true);
  return null;
end $$;
-- +goose StatementEnd
create trigger destroy_recipients after insert on offboarding for each row execute function destroy_recipients();
