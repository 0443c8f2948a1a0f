-- Reason: how much of a month may stay unexplained is decided by two, and due days know a company's holidays (DESIGN 7).
-- +goose Up

-- What a month may be locked with; the version with the highest number is in force.
create table materiality_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  month_cents bigint not null check (month_cents >= 0),
  node_cents bigint not null check (node_cents between 0 and month_cents),
  days_signed boolean not null, -- each day's reconciliation by two
  commentary_answered boolean not null, -- wherever it was asked for
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('materiality_version', 'select, insert');
select make_append_only('materiality_version', false);

-- A company's days on which nobody works besides weekends: the list with the highest version, whole.
create table holiday_version (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  days integer not null check (days >= 0),
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('holiday_version', 'select, insert');
select make_append_only('holiday_version', false);

create table holiday (
  tenant_id uuid not null references tenant,
  version integer not null,
  day date not null,
  name text not null check (length(name) between 1 and 80),
  primary key (tenant_id, version, day),
  foreign key (tenant_id, version) references holiday_version
);
select make_tenant_table('holiday', 'select, insert');
select make_append_only('holiday', false);
