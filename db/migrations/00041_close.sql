-- Reason: a month of the books is closed in steps that persons sign, moves only by changes, and what was signed is kept as it was (DESIGN 5.2, 5.7, 5.8, 5.9).
-- +goose Up

-- Of a month in one of these states nothing is taken any more.
create function shut(state text) returns boolean language sql immutable parallel safe as $$ select state in ('locked', 'closed') $$;
alter function shut(text) owner to tollbook_owner;

alter table period drop constraint period_state_check;
alter table period add constraint period_state_check check (state in ('open', 'closing', 'locked', 'closed')),
  add column revision integer not null default 1 check (revision > 0),
  add column moves integer not null default 0 check (moves >= 0);

-- Each move of a month between states, by the change that asked for it.
create table period_move (
  tenant_id uuid not null references tenant,
  month date not null,
  place integer not null check (place > 0),
  from_state text not null,
  to_state text not null,
  revision integer not null check (revision > 0), -- after the move
  actor text not null,
  reason text not null,
  change_id uuid not null,
  moved_at timestamptz not null,
  primary key (tenant_id, month, place),
  foreign key (tenant_id, month) references period,
  foreign key (tenant_id, change_id) references change,
  check ((from_state, to_state) in (('open', 'closing'), ('closing', 'locked'), ('locked', 'closed'), ('locked', 'closing'), ('closed', 'closing')))
);
select make_tenant_table('period_move', 'select, insert');
select make_append_only('period_move', false);

-- A move is made by storing it: it has to begin where the month stands, and a reopening makes the next revision.
-- +goose StatementBegin
create function move_period() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
declare
  stands period%rowtype;
begin
  select * into stands from period where tenant_id = new.tenant_id and month = new.month for update;
  if stands.state is distinct from new.from_state or new.place <> stands.moves + 1
    or new.revision <> stands.revision + (shut(new.from_state) and new.to_state = 'closing')::int then
    raise exception 'the books of % stand at %, revision %, after % moves', new.month, stands.state, stands.revision, stands.moves using errcode = 'TB014';
  end if;
  update period set state = new.to_state, revision = new.revision, moves = new.place, changed_at = new.moved_at where tenant_id = new.tenant_id and month = new.month;
  return new;
end $$;
-- +goose StatementEnd
alter function move_period() owner to tollbook_owner;
create trigger moves before insert on period_move for each row execute function move_period();

-- The product opens months, and holds them; it moves none but by a move.
create policy opens on period as restrictive for insert to tollbook_app with check (state = 'open' and revision = 1 and moves = 0);
create policy moves on period as restrictive for update to tollbook_app using (true) with check (false);

-- Whoever prepared a step of the checklist, or reviewed it, and the very figures they signed.
create table close_sign_off (
  tenant_id uuid not null references tenant,
  month date not null,
  place integer not null check (place > 0),
  revision integer not null check (revision > 0),
  step text not null check (step ~ '^[a-z_]{1,40}$'),
  part text not null check (part in ('prepared', 'reviewed')),
  member_id uuid not null,
  person_id uuid not null,
  of_place integer, -- what a reviewer reviewed
  of_person uuid,
  facts bytea not null check (length(facts) between 2 and 65536),
  digest bytea not null check (digest = sha256(facts)),
  note text not null check (length(note) <= 2000),
  record_id uuid not null,
  signed_at timestamptz not null,
  primary key (tenant_id, month, place),
  unique (tenant_id, month, place, person_id),
  foreign key (tenant_id, month) references period,
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, person_id) references person,
  foreign key (tenant_id, record_id) references audit_record,
  foreign key (tenant_id, month, of_place, of_person) references close_sign_off (tenant_id, month, place, person_id),
  check ((part = 'reviewed') = (of_place is not null) and (of_place is null) = (of_person is null)),
  check (of_person <> person_id) -- who prepares does not review
);
select make_tenant_table('close_sign_off', 'select, insert');
select make_append_only('close_sign_off', false);

-- A sign-off that counts no more: a figure it rests on is another one, or its signer took it back.
create table close_fall (
  tenant_id uuid not null references tenant,
  month date not null,
  place integer not null,
  cause text not null check (cause in ('figures', 'withdrawn', 'preparation')),
  facts bytea not null check (length(facts) <= 65536), -- as they were then
  record_id uuid not null,
  fell_at timestamptz not null,
  primary key (tenant_id, month, place),
  foreign key (tenant_id, month, place) references close_sign_off,
  foreign key (tenant_id, record_id) references audit_record
);
select make_tenant_table('close_fall', 'select, insert');
select make_append_only('close_fall', false);

-- A step that does not apply to one revision of a month, by an approved change.
create table close_waiver (
  tenant_id uuid not null references tenant,
  month date not null,
  revision integer not null check (revision > 0),
  step text not null,
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, month, revision, step),
  foreign key (tenant_id, month) references period,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('close_waiver', 'select, insert');
select make_append_only('close_waiver', false);

-- The figures of a month as they were when it was locked: what reports of it say from then on.
create table close_freeze (
  tenant_id uuid not null references tenant,
  month date not null,
  revision integer not null check (revision > 0),
  figures integer not null check (figures >= 0),
  requests bigint not null,
  charge_pico numeric(38, 0) not null,
  cents bigint not null, -- what the month's liability for its charges comes to
  canonical bytea not null,
  digest bytea not null check (digest = sha256(canonical)),
  change_id uuid not null,
  frozen_at timestamptz not null,
  primary key (tenant_id, month, revision),
  foreign key (tenant_id, month) references period,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('close_freeze', 'select, insert');
select make_append_only('close_freeze', false);

-- One figure of it: what a node was charged, or what an account of an entity came to.
create table close_figure (
  tenant_id uuid not null references tenant,
  month date not null,
  revision integer not null,
  place integer not null check (place > 0),
  kind text not null check (kind in ('node', 'account')),
  entity text not null,
  node_id uuid,
  code text not null, -- of the node, or the account's name
  path text not null,
  capitalization text not null,
  requests bigint not null,
  charge_pico numeric(38, 0) not null,
  debit_cents bigint not null,
  credit_cents bigint not null,
  primary key (tenant_id, month, revision, place),
  foreign key (tenant_id, month, revision) references close_freeze,
  foreign key (tenant_id, node_id) references node,
  check ((kind = 'node') = (node_id is not null))
);
select make_tenant_table('close_figure', 'select, insert');
select make_append_only('close_figure', false);

-- Once per freezing, when its transaction commits: its figures are there and add up to what it says.
-- +goose StatementBegin
create function check_close_freeze() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  there bigint;
  charges numeric;
  asked bigint;
begin
  select count(*), coalesce(sum(charge_pico) filter (where kind = 'node'), 0), coalesce(sum(requests) filter (where kind = 'node'), 0) into there, charges, asked
    from close_figure where tenant_id = new.tenant_id and month = new.month and revision = new.revision;
  if there <> new.figures or charges <> new.charge_pico or asked <> new.requests then
    raise exception 'the frozen figures of % say % and are %', new.month, new.charge_pico, charges using errcode = 'TB014';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create constraint trigger adds_up after insert on close_freeze deferrable initially deferred for each row execute function check_close_freeze();

-- Wherever the books were asked whether a month is locked, they are asked whether it is shut.
create or replace function retention_ends(of_tenant uuid, of_class text, of_month date, at timestamptz) returns timestamptz language sql stable as $$
  select (case when of_class in ('usage', 'audit')
      then (select greatest(of_month, date_trunc('month', k.since at time zone 'UTC')::date) from (select coalesce(
          (select p.changed_at from period p where p.tenant_id = of_tenant and p.month = of_month and shut(p.state)),
          (select o.offboarded_at from offboarding o where o.tenant_id = of_tenant)) as since) k where k.since is not null)
      else of_month end
    + make_interval(months => 1, years => coalesce((select t.years from retention_term t where t.tenant_id = of_tenant and t.class = of_class and t.effective_from <= at
        order by t.effective_from desc, t.recorded_at desc, t.change_id desc limit 1), 7))) at time zone 'UTC'
$$;

-- +goose StatementBegin
create or replace function check_journal_period() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  stands text;
begin
  select state into stands from period where tenant_id = new.tenant_id and month = new.posting_period for share;
  if stands is null or shut(stands) then
    raise exception 'the books of % take no entry', new.posting_period using errcode = 'TB012';
  end if;
  return new;
end $$;
-- +goose StatementEnd
