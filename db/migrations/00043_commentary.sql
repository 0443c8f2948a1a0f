-- Reason: owners explain what their nodes came to, and dispute what they were charged; who was asked, who answered and what became of it are rows for good (DESIGN 5.2, 7).
-- +goose Up

-- What was asked, written and decided about one node's variance of one month, step by step; how it stands is what the steps come to.
create table commentary_step (
  tenant_id uuid not null references tenant,
  month date not null check (extract(day from month) = 1),
  node_id uuid not null,
  place integer not null check (place > 0),
  kind text not null check (kind in ('asked', 'reminded', 'written', 'accepted', 'returned')),
  state text not null check (state in ('asked', 'written', 'accepted', 'returned')), -- after it
  revision integer not null check (revision >= 0), -- texts written so far, this one among them
  actor text not null,
  person_id uuid not null, -- who took it
  author_person_id uuid, -- of the latest text, after it
  owner_member_id uuid, -- who is asked, as of this step
  body text not null check (length(body) <= 4000), -- the commentary itself, or why
  figures text check (length(figures) between 2 and 16384), -- what it was written about, as canonical bytes
  figures_sha256 bytea check (figures_sha256 = sha256(convert_to(figures, 'UTF8'))),
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, month, node_id, place),
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, person_id) references person,
  foreign key (tenant_id, author_person_id) references person,
  foreign key (tenant_id, owner_member_id) references member,
  foreign key (tenant_id, change_id) references change,
  check ((kind = 'written') = (figures is not null) and (figures is null) = (figures_sha256 is null)),
  check (kind <> 'written' or (body <> '' and author_person_id = person_id)),
  check (kind <> 'accepted' or author_person_id <> person_id) -- who writes does not accept
);
create index commentary_step_owner on commentary_step (tenant_id, owner_member_id, recorded_at desc) where kind = 'reminded';
select make_tenant_table('commentary_step', 'select, insert');
select make_append_only('commentary_step', false);

-- Charges that an owner says are another's: these very requests, of one month of the books.
create table dispute (
  tenant_id uuid not null references tenant,
  dispute_id uuid not null,
  number bigint not null check (number > 0),
  month date not null check (extract(day from month) = 1),
  node_id uuid not null, -- that was charged
  to_node_id uuid not null, -- that should be
  narrowed jsonb not null, -- how they were chosen, in the words of re-tagging
  requests_sha256 bytea not null,
  requests integer not null check (requests > 0), -- that would move
  amount_pico numeric(38, 0) not null, -- that would move
  reason text not null check (length(reason) between 1 and 2000),
  answerer_member_id uuid, -- who owns the proposed node; null: nobody does
  actor text not null,
  person_id uuid not null,
  member_id uuid not null,
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, dispute_id),
  unique (tenant_id, number),
  foreign key (tenant_id, node_id) references node,
  foreign key (tenant_id, to_node_id) references node,
  foreign key (tenant_id, requests_sha256) references request_selection,
  foreign key (tenant_id, answerer_member_id) references member,
  foreign key (tenant_id, person_id) references person,
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, change_id) references change,
  check (node_id <> to_node_id)
);
create index dispute_month on dispute (tenant_id, month, number desc);
select make_tenant_table('dispute', 'select, insert');
select make_append_only('dispute', false);

-- What became of it, step by step. Whether the change that moves the charges was decided, the change itself says.
create table dispute_step (
  tenant_id uuid not null references tenant,
  dispute_id uuid not null,
  place integer not null check (place > 0),
  kind text not null check (kind in ('raised', 'accepted', 'declined', 'withdrawn', 'proposed', 'kept')),
  state text not null check (state in ('open', 'accepted', 'declined', 'withdrawn', 'proposed', 'kept')), -- after it
  before_state text not null check (before_state in ('', 'open', 'accepted')), -- where it stands again if its change is not applied
  actor text not null,
  person_id uuid not null,
  note text not null check (length(note) <= 2000),
  amount_pico numeric(38, 0) not null, -- that would move, as of this step
  resolution_change_id uuid, -- that moves the charges
  change_id uuid not null,
  recorded_at timestamptz not null,
  primary key (tenant_id, dispute_id, place),
  foreign key (tenant_id, dispute_id) references dispute,
  foreign key (tenant_id, person_id) references person,
  foreign key (tenant_id, resolution_change_id) references change,
  foreign key (tenant_id, change_id) references change,
  check ((kind = 'proposed') = (resolution_change_id is not null)),
  check ((kind = 'raised') = (place = 1))
);
create index dispute_step_resolution on dispute_step (tenant_id, resolution_change_id) where resolution_change_id is not null;
select make_tenant_table('dispute_step', 'select, insert');
select make_append_only('dispute_step', false);
