-- Reason: what a company prints carries its own legal name, logo, accent and confidentiality line, each version kept (DESIGN 5.11, 9).
-- +goose Up
-- A picture as it was encoded here, once for all versions that show it.
create table logo (
  tenant_id uuid not null references tenant,
  sha256 bytea not null check (length(sha256) = 32),
  media_type text not null check (media_type in ('image/png', 'image/jpeg')),
  width integer not null check (width between 1 and 2000),
  height integer not null check (height between 1 and 2000),
  content bytea not null check (length(content) between 1 and 524288),
  recorded_at timestamptz not null,
  primary key (tenant_id, sha256)
);
select make_tenant_table('logo', 'select, insert');
select make_append_only('logo', false);

-- Without an open version a company prints its name alone.
create table branding (
  tenant_id uuid not null references tenant,
  version_id uuid not null,
  legal_name text not null check (length(legal_name) <= 200),
  accent text not null check (accent ~ '^(#[0-9a-f]{6})?$'),
  confidentiality text not null check (length(confidentiality) <= 200),
  logo_sha256 bytea,
  effective_from timestamptz not null,
  effective_to timestamptz check (effective_to >= effective_from),
  recorded_at timestamptz not null,
  closed_at timestamptz,
  change_id uuid not null,
  primary key (tenant_id, version_id),
  foreign key (tenant_id, change_id) references change,
  foreign key (tenant_id, logo_sha256) references logo,
  check ((effective_to is null) = (closed_at is null))
);
select make_tenant_table('branding', 'select, insert');
select make_append_only('branding', true);
create unique index branding_now on branding (tenant_id) where effective_to is null;
