-- Reason: nodes change by approved changes, with the evidence behind their treatment; what is known of them now can neither overlap, nor leave a child without its parent, nor run in a circle (DESIGN 5.11).
-- +goose Up
create extension if not exists btree_gist;

alter table node_version add column evidence bytea check (length(evidence) <= 4000);
alter table node_version add column dimensions bytea check (length(dimensions) <= 20000);
alter table node_version add column retired boolean not null default false;

-- Operations that a change names by their digest: as many as a whole file makes are too many for one record. Whoever proposes the same again names the same row.
create table node_operations (
  tenant_id uuid not null references tenant,
  digest bytea not null check (length(digest) = 32),
  document bytea not null check (length(document) <= 33554432 and sha256(document) = digest),
  recorded_at timestamptz not null,
  primary key (tenant_id, digest)
);
select make_tenant_table('node_operations', 'select, insert');
select make_append_only('node_operations', false);

-- One row per tenant: whoever changes its tree takes it, so that two who cannot see each other's rows cannot both commit. It names the nodes of the last statement that did.
create table node_tree (
  tenant_id uuid not null references tenant,
  revision bigint not null,
  touched uuid[] not null,
  primary key (tenant_id)
);
select make_tenant_table('node_tree', 'select');

-- What is now known of each node, end to end: of versions that cover one instant the later recorded. It is derived: kept by the trigger below and written by nobody else.
create table node_span (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  starts timestamptz not null,
  node_id uuid not null,
  code text not null,
  parent_id uuid,
  span tstzrange not null check (not isempty(span)),
  primary key (tenant_id, version_id, starts),
  foreign key (tenant_id, version_id) references node_version,
  constraint node_span_once exclude using gist (tenant_id with =, node_id with =, span with &&) deferrable initially deferred,
  constraint node_span_code exclude using gist (tenant_id with =, code with =, span with &&) deferrable initially deferred
);
create index node_span_node on node_span (tenant_id, node_id);
create index node_span_parent on node_span (tenant_id, parent_id);
select make_tenant_table('node_span', 'select');

-- +goose StatementBegin
create function known_spans(of_tenant uuid, of_node uuid)
returns table (version_id uuid, starts timestamptz, code text, parent_id uuid, span tstzrange) language sql stable as $$
  with own as (select v.* from node_version v where v.tenant_id = of_tenant and v.node_id = of_node),
  cut as (select effective_from as at from own union select effective_to from own where effective_to is not null),
  piece as (select at, lead(at) over (order by at) as next from cut)
  select w.version_id, p.at, w.code, w.parent_id, tstzrange(p.at, p.next)
  from piece p cross join lateral (select * from own v where v.effective_from <= p.at and (v.effective_to is null or v.effective_to > p.at)
    order by v.recorded_at desc, v.version_id desc limit 1) w
  where not w.retired
$$;
-- +goose StatementEnd
alter function known_spans(uuid, uuid) owner to tollbook_owner;
revoke execute on function known_spans(uuid, uuid) from public;

-- +goose StatementBegin
create function keep_node_spans() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
begin
  insert into node_tree (tenant_id, revision, touched) select tenant_id, 1, array_agg(distinct node_id) from changed group by tenant_id
    on conflict (tenant_id) do update set revision = node_tree.revision + 1, touched = excluded.touched;
  delete from node_span s using (select distinct tenant_id, node_id from changed) c where s.tenant_id = c.tenant_id and s.node_id = c.node_id;
  insert into node_span (tenant_id, version_id, starts, node_id, code, parent_id, span)
    select c.tenant_id, k.version_id, k.starts, c.node_id, k.code, k.parent_id, k.span
    from (select distinct tenant_id, node_id from changed) c cross join lateral known_spans(c.tenant_id, c.node_id) k;
  return null;
end $$;
-- +goose StatementEnd
alter function keep_node_spans() owner to tollbook_owner;
create trigger keep_spans_added after insert on node_version referencing new table as changed for each statement execute function keep_node_spans();
create trigger keep_spans_closed after update on node_version referencing new table as changed for each statement execute function keep_node_spans();

-- At commit, around each statement's nodes: every child lies within the life of its parent, and no way up comes back or goes on for more than 32 levels.
-- +goose StatementBegin
create function check_node_tree() returns trigger language plpgsql security definer set search_path = public, pg_temp as $$
declare
  bad text;
begin
  select c.code into bad from (
      select s.tenant_id, s.code, s.parent_id, s.span from unnest(new.touched) as t(node) join node_span s on s.tenant_id = new.tenant_id and s.node_id = t.node
        where s.parent_id is not null
      union all
      select s.tenant_id, s.code, s.parent_id, s.span from unnest(new.touched) as t(node) join node_span s on s.tenant_id = new.tenant_id and s.parent_id = t.node) c
    where not coalesce((select range_agg(p.span) from node_span p where p.tenant_id = c.tenant_id and p.node_id = c.parent_id) @> c.span, false) limit 1;
  if found then
    raise exception 'node % would be without its parent', bad using errcode = 'TB005';
  end if;
  with recursive up as (
    select s.code, s.parent_id, s.span, 1 as depth from unnest(new.touched) as t(node) join node_span s on s.tenant_id = new.tenant_id and s.node_id = t.node
    union all
    select u.code, p.parent_id, u.span * p.span, u.depth + 1 from up u
    join node_span p on p.tenant_id = new.tenant_id and p.node_id = u.parent_id and p.span && u.span where u.depth <= 32)
  select code into bad from up where depth > 32 limit 1;
  if found then
    raise exception 'node % would be below itself, or more than 32 levels deep', bad using errcode = 'TB005';
  end if;
  return null;
end $$;
-- +goose StatementEnd
alter function check_node_tree() owner to tollbook_owner;
create constraint trigger check_tree after insert or update on node_tree deferrable initially deferred for each row execute function check_node_tree();

-- Many open ends at once, each once: what close_version does for one.
-- +goose StatementBegin
create function close_node_versions(versions uuid[], ends timestamptz[], closed timestamptz) returns bigint
language plpgsql security definer set search_path = public, pg_temp as $$
declare
  n bigint;
begin
  update node_version v set effective_to = c.ends, closed_at = closed from unnest(versions, ends) as c(version_id, ends)
    where v.tenant_id = current_tenant() and v.version_id = c.version_id and v.effective_to is null;
  get diagnostics n = row_count;
  return n;
end $$;
-- +goose StatementEnd
alter function close_node_versions(uuid[], timestamptz[], timestamptz) owner to tollbook_owner;
revoke execute on function close_node_versions(uuid[], timestamptz[], timestamptz) from public;
grant execute on function close_node_versions(uuid[], timestamptz[], timestamptz) to tollbook_app;

-- What is there already, as the owner, who is otherwise subject to the tenant policy.
alter table node_version no force row level security;
alter table node_span no force row level security;
alter table node_tree no force row level security;
set local role tollbook_owner;
insert into node_span (tenant_id, version_id, starts, node_id, code, parent_id, span)
  select n.tenant_id, k.version_id, k.starts, n.node_id, k.code, k.parent_id, k.span
  from (select distinct tenant_id, node_id from node_version) n cross join lateral known_spans(n.tenant_id, n.node_id) k;
insert into node_tree (tenant_id, revision, touched) select tenant_id, 1, array_agg(distinct node_id) from node_version group by tenant_id;
set constraints all immediate;
reset role;
alter table node_version force row level security;
alter table node_span force row level security;
alter table node_tree force row level security;
