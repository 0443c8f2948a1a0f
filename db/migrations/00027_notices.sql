-- Reason: people and a company's own systems hear of changes; what is due to whom is stored with its event, and every attempt after it (DESIGN 5.7, 5.10).
-- +goose Up
-- Where a company's events go besides its people. The address is a secret: with Slack, whoever knows it may post.
create table notice_channel (
  tenant_id uuid not null references tenant,
  channel_id uuid not null,
  kind text not null check (kind in ('slack', 'webhook')),
  label text not null check (length(label) between 1 and 80),
  host text not null check (length(host) between 1 and 260),
  url_sealed bytea not null,
  secret_sealed bytea,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, channel_id),
  foreign key (tenant_id, change_id) references change,
  check ((kind = 'webhook') = (secret_sealed is not null))
);
select make_tenant_table('notice_channel', 'select, insert');
select make_append_only('notice_channel', false);

create table notice_channel_end (
  tenant_id uuid not null references tenant,
  channel_id uuid not null,
  ended_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, channel_id),
  foreign key (tenant_id, channel_id) references notice_channel,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('notice_channel_end', 'select, insert');
select make_append_only('notice_channel_end', false);

-- What somebody does not want mail about; the latest row of a person is in force.
create table notice_mute (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  person_id uuid not null,
  topics text not null check (topics ~ '^([a-z]+( [a-z]+)*)?$' and length(topics) <= 200),
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, person_id) references person,
  foreign key (tenant_id, change_id) references change
);
create index notice_mute_person on notice_mute (tenant_id, person_id, version_id desc);
select make_tenant_table('notice_mute', 'select, insert');
select make_append_only('notice_mute', false);

-- One message to one recipient. Its content names people by their opaque ids alone, and is due once.
create table notice_delivery (
  tenant_id uuid not null references tenant,
  delivery_id uuid not null,
  record_id uuid not null,
  change_id uuid not null,
  channel text not null check (channel in ('mail', 'slack', 'webhook')),
  purpose text not null check (purpose ~ '^[a-z_]{1,40}$'),
  member_id uuid,
  channel_id uuid,
  content bytea not null check (length(content) between 1 and 8192),
  content_sha256 bytea not null check (length(content_sha256) = 32),
  recorded_at timestamptz not null,
  primary key (tenant_id, delivery_id),
  unique (tenant_id, content_sha256),
  foreign key (tenant_id, record_id) references audit_record,
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, channel_id) references notice_channel,
  check ((channel = 'mail') = (member_id is not null) and (channel = 'mail') = (channel_id is null))
);
create index notice_delivery_change on notice_delivery (tenant_id, change_id);
select make_tenant_table('notice_delivery', 'select, insert');
select make_append_only('notice_delivery', false);

-- What was done about it. An attempt is stored before the first byte leaves, and its outcome after.
create table notice_step (
  tenant_id uuid not null references tenant,
  delivery_id uuid not null,
  place integer not null check (place > 0),
  round integer not null check (round > 0),
  state text not null check (state in ('queued', 'attempted', 'interrupted', 'accepted', 'failed', 'refused', 'given_up', 'dropped')),
  answer text not null check (length(answer) <= 500),
  actor text not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, delivery_id, place),
  foreign key (tenant_id, delivery_id) references notice_delivery
);
select make_tenant_table('notice_step', 'select, insert');
select make_append_only('notice_step', false);
