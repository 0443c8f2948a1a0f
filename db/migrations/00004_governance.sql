-- Reason: every mutation is a change with decisions, and leaves a record whose bytes are stored as they were hashed (DESIGN 5.6, 5.7).
-- +goose Up
create table change (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  number bigint not null,
  kind text not null,
  payload bytea not null,
  digest bytea not null,
  reason text not null,
  effective_from timestamptz not null,
  maker text not null,
  proposed_at timestamptz not null,
  primary key (tenant_id, change_id),
  unique (tenant_id, number)
);
select make_tenant_table('change', 'select, insert');
select make_append_only('change', false);

create table change_move (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  place integer not null,
  state text not null check (state in ('proposed', 'approved', 'rejected', 'applied')),
  actor text not null,
  digest bytea not null,
  moved_at timestamptz not null,
  primary key (tenant_id, change_id, place),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('change_move', 'select, insert');
select make_append_only('change_move', false);

create table audit_record (
  tenant_id uuid not null references tenant,
  record_id uuid not null,
  action text not null,
  version smallint not null,
  canonical bytea not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, record_id)
);
select make_tenant_table('audit_record', 'select, insert');
select make_append_only('audit_record', false);

create table audit_leaf (
  tenant_id uuid not null references tenant,
  sequence bigint not null check (sequence >= 0),
  record_id uuid not null,
  leaf bytea not null check (length(leaf) = 32),
  sequenced_at timestamptz not null,
  primary key (tenant_id, sequence),
  unique (tenant_id, record_id),
  foreign key (tenant_id, record_id) references audit_record
);
select make_tenant_table('audit_leaf', 'select, insert');
select make_append_only('audit_leaf', false);

-- Records without a place in the log. A row here is working state, not evidence: the sequencer removes it in the transaction that makes the leaf.
create table audit_pending (
  tenant_id uuid not null references tenant,
  record_id uuid not null,
  primary key (tenant_id, record_id),
  foreign key (tenant_id, record_id) references audit_record
);
select make_tenant_table('audit_pending', 'select, insert, delete');

create table idempotency (
  tenant_id uuid not null references tenant,
  actor text not null,
  idempotency_key text not null check (length(idempotency_key) between 1 and 200),
  request_digest bytea not null,
  response_sealed bytea not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, actor, idempotency_key)
);
select make_tenant_table('idempotency', 'select, insert, delete');
