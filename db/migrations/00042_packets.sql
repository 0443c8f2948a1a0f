-- Reason: what is sent at close is kept word for word with what seals it, goes to a controlled list of recipients, and every attempt to send it stays (DESIGN 7, Exports).
-- +goose Up

-- A packet of a month: of the whole company, or of a node with all below it. Its record in the log holds the digest of its manifest.
create table packet (
  tenant_id uuid not null references tenant,
  packet_id uuid not null,
  month date not null check (extract(day from month) = 1),
  scope_node_id uuid,
  scope_code text not null,
  revision integer not null check (revision > 0),
  state text not null check (state in ('DRAFT', 'FINAL')),
  figures_digest bytea not null check (length(figures_digest) = 32),
  manifest bytea not null check (length(manifest) <= 8388608),
  manifest_digest bytea not null check (length(manifest_digest) = 32 and sha256(manifest) = manifest_digest),
  snapshot bytea not null check (length(snapshot) <= 8388608),
  record_id uuid not null,
  actor text not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, packet_id),
  foreign key (tenant_id, scope_node_id) references node,
  foreign key (tenant_id, record_id) references audit_record,
  check ((scope_node_id is null) = (scope_code = ''))
);
create unique index packet_revision on packet (tenant_id, month, coalesce(scope_node_id, '00000000-0000-0000-0000-000000000000'), revision);
select make_tenant_table('packet', 'select, insert');
select make_append_only('packet', false);

create table packet_file (
  tenant_id uuid not null references tenant,
  packet_id uuid not null,
  place integer not null check (place > 0),
  name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'),
  content bytea not null,
  content_digest bytea not null check (length(content_digest) = 32 and sha256(content) = content_digest),
  primary key (tenant_id, packet_id, place),
  unique (tenant_id, packet_id, name),
  foreign key (tenant_id, packet_id) references packet
);
select make_tenant_table('packet_file', 'select, insert');
select make_append_only('packet_file', false);

-- What the log says of a packet, once a signed head covers its record. With it the archive is always the same bytes.
create table packet_seal (
  tenant_id uuid not null references tenant,
  packet_id uuid not null,
  record bytea not null,
  proof bytea not null check (length(proof) <= 65536),
  checkpoint bytea not null check (length(checkpoint) <= 65536),
  size bigint not null check (size > 0),
  keys bytea not null check (length(keys) <= 1048576),
  archive_digest bytea not null check (length(archive_digest) = 32),
  archive_bytes bigint not null check (archive_bytes > 0),
  recorded_at timestamptz not null,
  primary key (tenant_id, packet_id),
  foreign key (tenant_id, packet_id) references packet
);
select make_tenant_table('packet_seal', 'select, insert');
select make_append_only('packet_seal', false);

-- Who is sent packets: a person of the company, an address, a bucket or a system. Addresses are sealed; what is shown of one is its host.
create table packet_recipient (
  tenant_id uuid not null references tenant,
  recipient_id uuid not null,
  kind text not null check (kind in ('person', 'mail', 's3', 'webhook')),
  label text not null check (length(label) between 1 and 80),
  member_id uuid,
  host text not null check (length(host) <= 260),
  address_sealed bytea,
  secret_sealed bytea,
  scope_node_id uuid,
  scope_code text not null,
  carries text not null check (carries in ('archive', 'summary', 'link')),
  draft_day integer check (draft_day between 1 and 28),
  draft_hour integer not null check (draft_hour between 0 and 23),
  final boolean not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, recipient_id),
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, scope_node_id) references node,
  foreign key (tenant_id, change_id) references change,
  check ((kind = 'person') = (member_id is not null) and (kind = 'person') = (address_sealed is null)),
  check ((scope_node_id is null) = (scope_code = ''))
);
select make_tenant_table('packet_recipient', 'select, insert');
select make_append_only('packet_recipient', false);

create table packet_recipient_end (
  tenant_id uuid not null references tenant,
  recipient_id uuid not null,
  ended_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, recipient_id),
  foreign key (tenant_id, recipient_id) references packet_recipient,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('packet_recipient_end', 'select, insert');
select make_append_only('packet_recipient_end', false);

-- One packet to one recipient. The digest is that of what is sent and to whom: it is due once.
create table packet_delivery (
  tenant_id uuid not null references tenant,
  delivery_id uuid not null,
  packet_id uuid not null,
  recipient_id uuid not null,
  content_digest bytea not null check (length(content_digest) = 32),
  recorded_at timestamptz not null,
  primary key (tenant_id, delivery_id),
  unique (tenant_id, content_digest),
  foreign key (tenant_id, packet_id) references packet,
  foreign key (tenant_id, recipient_id) references packet_recipient
);
create index packet_delivery_packet on packet_delivery (tenant_id, packet_id);
create index packet_delivery_recipient on packet_delivery (tenant_id, recipient_id);
select make_tenant_table('packet_delivery', 'select, insert');
select make_append_only('packet_delivery', false);

-- What was done about it. An attempt is stored before the first byte leaves, and its outcome after.
create table packet_step (
  tenant_id uuid not null references tenant,
  delivery_id uuid not null,
  place integer not null check (place > 0),
  round integer not null check (round > 0),
  state text not null check (state in ('queued', 'attempted', 'interrupted', 'accepted', 'failed', 'refused', 'given_up', 'dropped')),
  answer text not null check (length(answer) <= 500),
  actor text not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, delivery_id, place),
  foreign key (tenant_id, delivery_id) references packet_delivery
);
select make_tenant_table('packet_step', 'select, insert');
select make_append_only('packet_step', false);

-- A packet that somebody else keeps is a witness of the head in it.
alter table audit_witness drop constraint audit_witness_kind_check;
alter table audit_witness add constraint audit_witness_kind_check check (kind in ('object', 'log', 'timestamp', 'packet'));

-- That somebody asked for a packet to be built now, and what came of it.
create table packet_ask (
  tenant_id uuid not null references tenant,
  record_id uuid not null,
  month date not null check (extract(day from month) = 1),
  scope_node_id uuid,
  actor text not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, record_id),
  foreign key (tenant_id, record_id) references audit_record,
  foreign key (tenant_id, scope_node_id) references node
);
select make_tenant_table('packet_ask', 'select, insert');
select make_append_only('packet_ask', false);

create table packet_ask_end (
  tenant_id uuid not null references tenant,
  record_id uuid not null,
  packet_id uuid, -- null: it failed
  fresh boolean not null, -- false: no figure had changed
  why text not null check (length(why) <= 500),
  recorded_at timestamptz not null,
  primary key (tenant_id, record_id),
  foreign key (tenant_id, record_id) references packet_ask,
  foreign key (tenant_id, packet_id) references packet
);
select make_tenant_table('packet_ask_end', 'select, insert');
select make_append_only('packet_ask_end', false);
