-- Reason: spend is explored over any days and grouped as one likes: from the rollups where they suffice, from requests where they do not, as views one saves; tags are grouped by a few
-- declared keys alone (DESIGN 5.7, 10).
-- +goose Up

-- A developer's days over all months. Plan: Index Scan using rollup_developer_day_day, as rollup_placement_day_day for the rest.
create index rollup_developer_day_day on rollup_developer_day (tenant_id, day);

-- The few requests that are split, apart from the many that are not: their parts are read on their own. Plan: Index Scan using usage_event_split of each month in the range.
create index usage_event_split on usage_event (tenant_id, occurred_at) where split is not null;

-- One part of a split request's count, by largest remainder as the ledger splits (package money), so that what is read from requests sums to what the rollups hold.
-- +goose StatementBegin
create function split_share(total bigint, split jsonb, place bigint) returns bigint
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
  with part as (
    select n, total * (p->>'ppm')::numeric as product, sum((p->>'ppm')::numeric) over () as whole from jsonb_array_elements(split) with ordinality as s(p, n)
  ), cut as (
    select n, div(product, whole) as base, mod(product, whole) as rest from part
  )
  select (c.base + case when (select count(*) from cut o where o.rest > c.rest or (o.rest = c.rest and o.n < c.n)) < total - (select sum(base) from cut) then 1 else 0 end)::bigint
  from cut c where c.n = place
$$;
-- +goose StatementEnd
alter function split_share(bigint, jsonb, bigint) owner to tollbook_owner;

create table saved_view (
  tenant_id uuid not null references tenant,
  view_id uuid not null,
  member_id uuid not null,
  name text not null check (length(name) between 1 and 80),
  query text not null check (length(query) <= 2000),
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, view_id),
  foreign key (tenant_id, member_id) references member,
  foreign key (tenant_id, change_id) references change
);
create index saved_view_member on saved_view (tenant_id, member_id);
select make_tenant_table('saved_view', 'select, insert');
select make_append_only('saved_view', false);

create table saved_view_removal (
  tenant_id uuid not null references tenant,
  view_id uuid not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, view_id),
  foreign key (tenant_id, view_id) references saved_view,
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('saved_view_removal', 'select, insert');
select make_append_only('saved_view_removal', false);

-- Which tag keys requests may be grouped by, from each change on.
create table tag_declaration (
  tenant_id uuid not null references tenant,
  change_id uuid not null,
  tag_keys text[] not null check (cardinality(tag_keys) <= 5),
  recorded_at timestamptz not null,
  primary key (tenant_id, change_id),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('tag_declaration', 'select, insert');
select make_append_only('tag_declaration', false);
