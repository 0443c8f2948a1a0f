-- Reason: what stands behind a log outside of this database: keys that follow one another, and witnesses who saw its heads.
-- +goose Up

-- A signed note by which the key before names this one as the next; null where none did.
alter table audit_key add column endorsed bytea check (length(endorsed) <= 4096);

-- Keys that signed no longer from a head of this size on.
create table audit_key_end (
  tenant_id uuid not null references tenant,
  verifier text not null,
  size bigint not null check (size > 0),
  recorded_at timestamptz not null,
  primary key (tenant_id, verifier, size),
  foreign key (tenant_id, verifier) references audit_key
);
select make_tenant_table('audit_key_end', 'select, insert');
select make_append_only('audit_key_end', false);

-- Each time a witness was asked to see a head: what came back word for word, or why nothing did.
create table audit_witness (
  tenant_id uuid not null references tenant,
  witness text not null check (witness <> '' and length(witness) <= 200),
  kind text not null check (kind in ('object', 'log', 'timestamp')),
  size bigint not null,
  recorded_at timestamptz not null,
  seen boolean not null,
  receipt bytea not null check (length(receipt) <= 65536),
  object text not null check (length(object) <= 2000),
  reason text not null check (length(reason) <= 1000),
  primary key (tenant_id, witness, recorded_at, size),
  foreign key (tenant_id, size) references audit_checkpoint,
  check (seen = (reason = '')),
  check (seen = (length(receipt) > 0))
);
select make_tenant_table('audit_witness', 'select, insert');
select make_append_only('audit_witness', false);

-- Plan of "what did this witness see last": the newest of a witness, one row of the index.
create index audit_witness_seen on audit_witness (tenant_id, witness, size desc) where seen;

-- Plan of "who saw these heads": an export's, the newest first.
create index audit_witness_size on audit_witness (tenant_id, size desc) where seen;
