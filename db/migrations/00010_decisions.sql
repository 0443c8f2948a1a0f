-- Reason: a governed change waits for a person, and a new list of prices arrives as one (DESIGN 5.8, 5.11).
-- +goose Up
alter table change_move add column basis text check (basis in ('second_person', 'withdrawn', 'sole_person'));
alter table change_move add column reason text;

-- Maker is not checker here too: code that forgets it finds this.
-- +goose StatementBegin
create function refuse_self_approval() returns trigger language plpgsql as $$
begin
  if new.state = 'approved' and new.basis is distinct from 'sole_person'
    and exists (select from change c where c.tenant_id = new.tenant_id and c.change_id = new.change_id and c.maker = new.actor) then
    raise exception 'the maker of change % may not approve it', new.change_id using errcode = 'TB004';
  end if;
  return new;
end $$;
-- +goose StatementEnd
alter function refuse_self_approval() owner to tollbook_owner;
create trigger refuse_self_approval before insert on change_move for each row execute function refuse_self_approval();

-- The vendor's list a version was made from; null in older rows, which are that list itself.
alter table price_version add column vendor_digest bytea;

create table price_proposal (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  basis text not null check (basis in ('vendor', 'contract', 'file')),
  base_version integer not null,
  vendor_digest bytea not null check (length(vendor_digest) = 32),
  document bytea not null,
  digest bytea not null check (length(digest) = 32),
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id),
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, base_version) references price_version
);
-- One proposal of a vendor's list on one version, however many processes start at once.
create unique index price_proposal_vendor on price_proposal (tenant_id, vendor_digest, base_version) where basis = 'vendor';
select make_tenant_table('price_proposal', 'select, insert');
select make_append_only('price_proposal', false);
