-- Reason: an invoice is matched with the provider's cost report as well, and what broke off is trued up to what the provider counted (DESIGN 5.2, 5.3, 7).
-- +goose Up

-- How an invoice compared with cost report and ledger when it was booked; those that were booked before have none.
alter table allocation add column match_document bytea;
