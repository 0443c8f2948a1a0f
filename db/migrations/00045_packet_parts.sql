-- Reason: a packet holds the files that were exported of its month, byte for byte; they are kept once (DESIGN 7, Exports).
-- +goose Up

-- A packet's file is its own bytes, or those of a file that was exported, or of the manifest beside that.
alter table packet_file alter column content drop not null;
alter table packet_file add column export_id uuid;
alter table packet_file add column export_place integer;
alter table packet_file add column sidecar boolean not null default false; -- the manifest, not the file
alter table packet_file add foreign key (tenant_id, export_id, export_place) references journal_export_file;
alter table packet_file add check ((content is null) = (export_id is not null) and (export_id is null) = (export_place is null) and (export_id is not null or not sidecar));
alter table packet_file drop constraint packet_file_name_check;
alter table packet_file add constraint packet_file_name_check check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,159}$');

-- A packet's bytes are those whose digest it holds, wherever they are kept.
-- +goose StatementBegin
create function check_packet_file() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if new.export_id is not null and not exists (select from journal_export_file f where f.tenant_id = new.tenant_id and f.export_id = new.export_id and f.place = new.export_place
    and new.content_digest = case when new.sidecar then sha256(f.manifest) else f.digest end) then
    raise exception 'file % of packet % is not the one that was exported', new.name, new.packet_id using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger exported_bytes before insert on packet_file for each row execute function check_packet_file();
