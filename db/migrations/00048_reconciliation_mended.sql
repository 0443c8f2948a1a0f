-- Reason: nobody reviews their own work under another account, linked before or since (DESIGN 5.8).
-- +goose Up

-- Whether two accounts are one person's: the same account, or a person that both are, or were when they acted.
create function one_person(an_actor text, a_person uuid, another_actor text, another_person uuid) returns boolean language sql stable set search_path = public, pg_temp as $$
  select an_actor = another_actor or exists (
    select p from (select a_person as p union select maker_persons(an_actor)) a where p is not null
    intersect select p from (select another_person as p union select maker_persons(another_actor)) b)
$$;
alter function one_person(text, uuid, text, uuid) owner to tollbook_owner;

-- +goose StatementBegin
create function refuse_own_day() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if exists (select from reconciliation_sign_off s where s.tenant_id = new.tenant_id and s.run_id = new.run_id and s.part <> new.part and one_person(s.actor, s.person_id, new.actor, new.person_id)) then
    raise exception 'who prepared a day does not review it' using errcode = 'TB004';
  end if;
  return new;
end $$;
-- +goose StatementEnd
alter function refuse_own_day() owner to tollbook_owner;
create trigger refuse_own_day before insert on reconciliation_sign_off for each row execute function refuse_own_day();

-- Of the steps since a variance was last open.
-- +goose StatementBegin
create function refuse_own_review() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if new.kind in ('accepted', 'returned') and exists (
    select from variance_step s where s.tenant_id = new.tenant_id and s.variance_id = new.variance_id and s.kind in ('explained', 'waiting', 'adjusted')
      and s.place > (select max(o.place) from variance_step o where o.tenant_id = new.tenant_id and o.variance_id = new.variance_id and o.state = 'open')
      and one_person(s.actor, s.person_id, new.actor, new.person_id)) then
    raise exception 'who explained a variance does not review it' using errcode = 'TB004';
  end if;
  return new;
end $$;
-- +goose StatementEnd
alter function refuse_own_review() owner to tollbook_owner;
create trigger refuse_own_review before insert on variance_step for each row execute function refuse_own_review();
