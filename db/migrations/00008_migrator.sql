-- Reason: after a superuser's first run, tollbook_migrator takes every later step: it must reach the schema's history, the functions that make tables, and River's own steps.
-- +goose Up
alter table goose_db_version owner to tollbook_owner;
alter function current_tenant() owner to tollbook_owner;
alter function refuse_change() owner to tollbook_owner;
alter function refuse_all_but_closing() owner to tollbook_owner;
alter function refuse_unplaced() owner to tollbook_owner;
alter function make_tenant_table(regclass, text) owner to tollbook_owner;
alter function make_append_only(regclass, boolean) owner to tollbook_owner;
grant tollbook_app to tollbook_migrator;
