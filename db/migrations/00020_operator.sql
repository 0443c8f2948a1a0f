-- Reason: an operator sees whether each company's requests still arrive and whether its records still find their place, by time and count alone (DESIGN 2).
-- +goose Up

-- The newest batch of a company is the one with the largest id. Plan: Index Only Scan Backward of usage_batch's primary key, one row of it.
grant select (tenant_id, batch_id, recorded_at) on usage_batch to tollbook_system;
grant select (tenant_id) on audit_pending to tollbook_system;
