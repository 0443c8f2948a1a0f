// Package app holds the use cases: what people, programs and the clock may ask of
// Tollbook.
//
// It owns areas, one receiver type each (Tenants, Nodes, Keys, Members, SignIns, Rights, Logins,
// Snapshots, Metering, Prices, Rules, Plans, Approvals, Notices, Reports, Views, Adjustments, Retentions,
// Offboardings, Books, Invoices, Exports, Closing, Packets, ProviderReports,
// Reconciliations, Commentaries, Disputes, Audit, Log, Settings, Operators, SignUps), the funnel every mutation
// goes through (Changes) and access. It does not own decisions (the pure packages below it),
// queries (db) or how an answer looks (web, gateway).
//
// Invariants: authorization happens here and nowhere else; a change, its audit
// record and its job are one commit (a usage batch's job may follow within a second:
// docs/adr/016); no area calls another's private parts.
//
// Words: actor, use case, funnel, snapshot, flush.
package app
