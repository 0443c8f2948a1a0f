-- Reason: somebody who signs in from a command line gets credentials that are theirs, short-lived and bound to a cost center they may charge, so that who works is verified (DESIGN 7, attribution).
-- +goose Up

-- Who may charge what by signing in: a member, or everybody, a node and what lies below it.
create table charge_right (
  tenant_id uuid not null references tenant,
  right_id uuid not null,
  member_id uuid,
  node_id uuid not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, right_id),
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('charge_right', 'select, insert');
select make_append_only('charge_right', false);

create table charge_right_end (
  tenant_id uuid not null references tenant,
  right_id uuid not null,
  ended_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, right_id),
  foreign key (tenant_id, right_id) references charge_right,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('charge_right_end', 'select, insert');
select make_append_only('charge_right_end', false);

-- The key that stands for everybody who signed in to charge one cost center: rollups and lists go by key, and a key for each sign-in would swamp them.
alter table virtual_key add column sign_in_node uuid;
alter table virtual_key add foreign key (tenant_id, sign_in_node) references node;
create unique index virtual_key_sign_in on virtual_key (tenant_id, sign_in_node) where sign_in_node is not null;

create table login (
  tenant_id uuid not null references tenant,
  login_id uuid not null,
  member_id uuid not null,
  developer_id uuid not null,
  label_sealed bytea not null,
  client text not null,
  refresh_hash bytea not null check (length(refresh_hash) = 32),
  recorded_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, login_id),
  foreign key (tenant_id, member_id) references member
);
create index login_member on login (tenant_id, member_id, expires_at);
select make_tenant_table('login', 'select, insert');
select make_append_only('login', false);

-- What a login charges from an instant on; the latest counts.
create table login_charge (
  tenant_id uuid not null references tenant,
  login_id uuid not null,
  place integer not null check (place > 0),
  node_id uuid not null,
  key_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, login_id, place),
  foreign key (tenant_id, login_id) references login,
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, key_id) references virtual_key
);
select make_tenant_table('login_charge', 'select, insert');
select make_append_only('login_charge', false);

create table login_end (
  tenant_id uuid not null references tenant,
  login_id uuid not null,
  ended_at timestamptz not null,
  primary key (tenant_id, login_id),
  foreign key (tenant_id, login_id) references login
);
select make_tenant_table('login_end', 'select, insert');
select make_append_only('login_end', false);

-- What Claude Code presents for an hour. Working state: what has expired is removed.
create table login_credential (
  tenant_id uuid not null references tenant,
  credential_id uuid not null,
  login_id uuid not null,
  key_hash bytea not null check (length(key_hash) = 32),
  recorded_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (tenant_id, credential_id),
  unique (tenant_id, key_hash),
  foreign key (tenant_id, login_id) references login
);
create index login_credential_live on login_credential (tenant_id, expires_at);
create index login_credential_login on login_credential (tenant_id, login_id);
select make_tenant_table('login_credential', 'select, insert, delete');

-- A command line that waits for a person at a browser. Working state, as sign_in is.
create table login_ask (
  tenant_id uuid not null references tenant,
  ask_id uuid not null,
  secret_hash bytea not null check (length(secret_hash) = 32),
  user_code_hash bytea,
  challenge text,
  client text not null,
  cost_center text not null,
  recorded_at timestamptz not null,
  expires_at timestamptz not null,
  polled_at timestamptz,
  member_id uuid,
  node_id uuid,
  login_expires_at timestamptz,
  denied_at timestamptz,
  used_at timestamptz,
  primary key (tenant_id, ask_id),
  unique (tenant_id, user_code_hash),
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, node_id) references node,
  check ((user_code_hash is null) <> (challenge is null))
);
select make_tenant_table('login_ask', 'select, insert, update, delete');

grant select on login, login_charge, login_end, login_credential to tollbook_system;

-- A developer who was declared before is verified from the first verified request on.
grant update (verified) on developer to tollbook_app;
