-- Reason: what the provider itself reports of usage and cost is kept as it was received, and as figures made of it (DESIGN 5.2, 5.3, 5.13).
-- +goose Up

-- Where a company's reports come from; the version with the highest number is in force.
create table provider_source (
  tenant_id uuid not null references tenant,
  version integer not null check (version > 0),
  base_url text not null check (length(base_url) between 1 and 1000),
  credential_sealed bytea not null,
  gateway_keys text[] not null check (cardinality(gateway_keys) <= 200), -- api_key_ids that nothing but the gateway uses
  first_day date not null, -- days from it on are pulled
  settle_hours integer not null check (settle_hours between 1 and 720),
  repull_days integer not null check (repull_days between 1 and 90),
  effective_from timestamptz not null,
  recorded_at timestamptz not null,
  change_id uuid not null,
  primary key (tenant_id, version),
  foreign key (tenant_id, change_id) references change
);
select make_tenant_table('provider_source', 'select, insert');
select make_append_only('provider_source', false);

-- A pull is one fetch of a report: of a day's usage or cost, or of the organization's keys or workspaces on that day.
create table provider_pull (
  tenant_id uuid not null references tenant,
  pull_id uuid not null,
  number bigint not null check (number > 0),
  report text not null check (report in ('usage', 'cost', 'keys', 'workspaces')),
  day date not null,
  source_version integer not null,
  started_at timestamptz not null,
  primary key (tenant_id, pull_id),
  unique (tenant_id, number),
  foreign key (tenant_id, source_version) references provider_source
);
create index provider_pull_day on provider_pull (tenant_id, report, day, number desc);
select make_tenant_table('provider_pull', 'select, insert');
select make_append_only('provider_pull', false);

create table provider_page (
  tenant_id uuid not null references tenant,
  pull_id uuid not null,
  place integer not null check (place between 1 and 200),
  api text not null check (api in ('analytics', 'legacy', 'organization')),
  request text not null check (length(request) <= 8000), -- path and query; credentials are in headers
  http_status integer not null,
  content bytea not null check (length(content) <= 16777216), -- as received
  content_sha256 bytea not null check (content_sha256 = sha256(content)),
  fetched_at timestamptz not null,
  primary key (tenant_id, pull_id, place),
  foreign key (tenant_id, pull_id) references provider_pull
);
select make_tenant_table('provider_page', 'select, insert');
select make_append_only('provider_page', false);

-- How a pull ended, once. What counts for a day and report is the pull with the highest number that finished, or, if that one found nothing changed, the one whose figures it found again.
create table provider_pull_end (
  tenant_id uuid not null references tenant,
  pull_id uuid not null,
  state text not null check (state in ('finished', 'unchanged', 'failed')),
  api text not null check (api in ('', 'analytics', 'legacy', 'organization')),
  pages integer not null check (pages >= 0),
  pages_digest bytea not null, -- over the digests of the pages in their order
  digest bytea, -- of the figures or names
  figures integer not null check (figures >= 0),
  refreshed_at timestamptz, -- what the provider says
  as_of timestamptz, -- what is reported is complete up to then
  same_as uuid,
  reason text not null check (length(reason) <= 60),
  detail text not null check (length(detail) <= 500),
  unread text[] not null check (cardinality(unread) <= 20),
  record_id uuid not null,
  ended_at timestamptz not null,
  primary key (tenant_id, pull_id),
  foreign key (tenant_id, pull_id) references provider_pull,
  foreign key (tenant_id, same_as) references provider_pull_end,
  foreign key (tenant_id, record_id) references audit_record,
  check ((state = 'failed') = (digest is null)),
  check ((state = 'failed') = (as_of is null)),
  check ((state = 'failed') = (reason <> '')),
  check ((state = 'unchanged') = (same_as is not null))
);
select make_tenant_table('provider_pull_end', 'select, insert');
select make_append_only('provider_pull_end', false);

create table provider_figure (
  tenant_id uuid not null references tenant,
  pull_id uuid not null,
  place integer not null check (place > 0),
  workspace text not null,
  api_key text not null,
  model text not null,
  tier text not null,
  speed text not null,
  geography text not null,
  class text not null check (class <> ''),
  quantity bigint not null check (quantity >= 0),
  list_pico bigint not null,
  amount_pico bigint not null,
  primary key (tenant_id, pull_id, place),
  unique (tenant_id, pull_id, workspace, api_key, model, tier, speed, geography, class),
  foreign key (tenant_id, pull_id) references provider_pull_end
);
select make_tenant_table('provider_figure', 'select, insert');
select make_append_only('provider_figure', false);

create table provider_name (
  tenant_id uuid not null references tenant,
  pull_id uuid not null,
  kind text not null check (kind in ('key', 'workspace')),
  object_id text not null check (object_id <> ''),
  name text not null,
  status text not null,
  workspace text not null,
  primary key (tenant_id, pull_id, kind, object_id),
  foreign key (tenant_id, pull_id) references provider_pull_end
);
select make_tenant_table('provider_name', 'select, insert');
select make_append_only('provider_name', false);

-- With a company that is let go, the credential of its reports goes too: in the same statement as the row that says so.
drop trigger append_only on provider_source;
create trigger append_only before update or delete on provider_source for each row when (current_setting('app.offboarding', true) is distinct from old.tenant_id::text) execute function refuse_change();
create trigger destroy_sealed before update or delete on provider_source for each row when (current_setting('app.offboarding', true) = old.tenant_id::text) execute function destroy_sealed('{credential_sealed}');
-- +goose StatementBegin
create function destroy_report_credentials() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  perform set_config('app.offboarding', new.tenant_id::text, true);
  update provider_source set credential_sealed = '' where tenant_id = new.tenant_id;
  perform set_config('app.offboarding', '', true);
  return null;
end $$;
-- +goose StatementEnd
create trigger destroy_report_credentials after insert on offboarding for each row execute function destroy_report_credentials();
