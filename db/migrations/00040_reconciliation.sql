-- Reason: what we charged is held against what the provider reports, day by day; every difference has a class, and what is above tolerance has somebody who answers for it (DESIGN 5.2, 5.3, 7).
-- +goose Up

-- How far both sides may be apart; the version with the highest number is in force.
create table tolerance_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  absolute_cents bigint not null check (absolute_cents >= 0),
  relative_bps integer not null check (relative_bps between 0 and 1000),
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('tolerance_version', 'select, insert');
select make_append_only('tolerance_version', false);

-- One holding of a day's two sides against one another; the one with the highest number counts.
create table reconciliation (
  tenant_id uuid not null references tenant,
  run_id uuid not null,
  number bigint not null check (number > 0),
  day date not null,
  state text not null check (state in ('provisional', 'reconciled', 'within_tolerance', 'exception')),
  usage_pull uuid not null, -- whose figures were compared
  cost_pull uuid not null,
  usage_batches bigint not null, -- of the day's month, as of then
  adjustment_batches bigint not null,
  fingerprint bytea not null check (length(fingerprint) = 32), -- of everything that it was made of: the same again is not made again
  tolerance_version integer not null, -- 0: the one that every company begins with
  absolute_cents bigint not null,
  relative_bps integer not null,
  ours_pico numeric(38, 0) not null,
  listed_pico numeric(38, 0) not null,
  billed_pico numeric(38, 0) not null,
  list_price_pico numeric(38, 0) not null,
  unexplained_pico numeric(38, 0) not null,
  gross_pico numeric(38, 0) not null check (gross_pico >= 0),
  our_requests bigint not null,
  their_requests bigint not null,
  our_tokens bigint not null,
  their_tokens bigint not null,
  coverage jsonb not null,
  items integer not null check (items >= 0),
  canonical bytea not null,
  digest bytea not null check (digest = sha256(canonical)),
  record_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, run_id),
  unique (tenant_id, number),
  foreign key (tenant_id, usage_pull) references provider_pull_end,
  foreign key (tenant_id, cost_pull) references provider_pull_end,
  foreign key (tenant_id, record_id) references audit_record
);
create index reconciliation_day on reconciliation (tenant_id, day, number desc) include (state, fingerprint);
select make_tenant_table('reconciliation', 'select, insert');
select make_append_only('reconciliation', false);

create table reconciliation_item (
  tenant_id uuid not null references tenant,
  run_id uuid not null,
  place integer not null check (place > 0),
  class text not null,
  surface text not null,
  api_key text not null,
  model text not null,
  tier text not null,
  speed text not null,
  geography text not null,
  meter text not null,
  quantity bigint not null,
  list_pico numeric(38, 0) not null,
  amount_pico numeric(38, 0) not null,
  explanation text not null check (length(explanation) between 1 and 1000),
  nodes jsonb, -- what of the amount lies at which node
  primary key (tenant_id, run_id, place),
  foreign key (tenant_id, run_id) references reconciliation
);
select make_tenant_table('reconciliation_item', 'select, insert');
select make_append_only('reconciliation_item', false);

-- Once per run, when its transaction commits: its items are there, and come to the difference, exactly.
-- +goose StatementBegin
create function check_reconciliation() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  there bigint;
  amounts numeric;
  unknown numeric;
begin
  select count(*), coalesce(sum(amount_pico), 0), coalesce(sum(amount_pico) filter (where class = 'unknown'), 0) into there, amounts, unknown
    from reconciliation_item where tenant_id = new.tenant_id and run_id = new.run_id;
  if there <> new.items or amounts <> new.billed_pico - new.ours_pico or unknown <> new.unexplained_pico then
    raise exception 'reconciliation % says % items and a difference of %, and has % and %', new.number, new.items, new.billed_pico - new.ours_pico, there, amounts using errcode = 'TB018';
  end if;
  return null;
end $$;
-- +goose StatementEnd
create constraint trigger adds_up after insert on reconciliation deferrable initially deferred for each row execute function check_reconciliation();

-- Who prepared a day, and who reviewed it: of one run, so that a figure that changes takes it away.
create table reconciliation_sign_off (
  tenant_id uuid not null references tenant,
  run_id uuid not null,
  part text not null check (part in ('preparer', 'reviewer')),
  actor text not null,
  person_id uuid not null,
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, run_id, part),
  unique (tenant_id, run_id, person_id), -- who prepares does not review
  foreign key (tenant_id, run_id) references reconciliation,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('reconciliation_sign_off', 'select, insert');
select make_append_only('reconciliation_sign_off', false);

-- What was above tolerance on a day, once for what it is about.
create table variance (
  tenant_id uuid not null references tenant,
  variance_id uuid not null,
  number bigint not null check (number > 0),
  day date not null,
  class text not null,
  surface text not null,
  api_key text not null,
  model text not null,
  node_id uuid,
  recorded_at timestamptz not null,
  primary key (tenant_id, variance_id),
  unique (tenant_id, number),
  foreign key (tenant_id, node_id) references node
);
create unique index variance_about on variance (tenant_id, day, class, surface, api_key, model, coalesce(node_id, '00000000-0000-0000-0000-000000000000'));
select make_tenant_table('variance', 'select, insert');
select make_append_only('variance', false);

-- What became of it, step by step; its state is what the steps come to.
create table variance_step (
  tenant_id uuid not null references tenant,
  variance_id uuid not null,
  place integer not null check (place > 0),
  kind text not null check (kind in ('found', 'gone', 'assigned', 'explained', 'waiting', 'adjusted', 'accepted', 'returned')),
  state text not null check (state in ('open', 'explained', 'waiting', 'adjusted', 'resolved')), -- after it
  actor text not null,
  person_id uuid, -- behind the actor, where one is
  amount_pico numeric(38, 0) not null, -- as of this step
  quantity bigint not null,
  run_id uuid,
  owner_member_id uuid, -- as of this step
  note text not null check (length(note) <= 2000),
  wait_until date,
  adjustment_change_id uuid, -- the change that settles it
  change_id uuid, -- of who took the step
  recorded_at timestamptz not null,
  primary key (tenant_id, variance_id, place),
  foreign key (tenant_id, variance_id) references variance,
  foreign key (tenant_id, run_id) references reconciliation,
  foreign key (tenant_id, owner_member_id) references member,
  foreign key (tenant_id, adjustment_change_id) references change,
  foreign key (tenant_id, change_id) references change,
  check ((kind in ('found', 'gone')) = (run_id is not null)),
  check ((kind in ('found', 'gone')) = (change_id is null)),
  check ((kind = 'waiting') = (wait_until is not null)),
  check ((kind = 'adjusted') = (adjustment_change_id is not null))
);
select make_tenant_table('variance_step', 'select, insert');
select make_append_only('variance_step', false);

-- What was spent in a month without passing the gateway, as it was last stated: the import with the highest version holds.
create table spend_elsewhere (
  tenant_id uuid not null references tenant,
  month date not null check (extract(day from month) = 1),
  version integer not null check (version > 0),
  lines integer not null check (lines > 0),
  total_cents bigint not null,
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, month, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('spend_elsewhere', 'select, insert');
select make_append_only('spend_elsewhere', false);

create table spend_elsewhere_line (
  tenant_id uuid not null references tenant,
  month date not null,
  version integer not null,
  place integer not null check (place > 0),
  node_id uuid not null,
  source text not null check (source <> ''),
  memo text not null,
  cents bigint not null check (cents <> 0),
  primary key (tenant_id, month, version, place),
  foreign key (tenant_id, month, version) references spend_elsewhere,
  foreign key (tenant_id, node_id) references node
);
select make_tenant_table('spend_elsewhere_line', 'select, insert');
select make_append_only('spend_elsewhere_line', false);
