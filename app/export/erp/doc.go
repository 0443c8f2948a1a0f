// Package erp writes journals and bills as the files that finance systems import:
// NetSuite, Workday (EIB), SAP S/4HANA, Oracle Fusion (FBDI), QuickBooks Online, Xero, a
// neutral journal and a neutral bill.
//
// It owns those layouts and their limits, a mapping (what finance's system calls our
// accounts, nodes, entities and months, effective-dated) with the CSV it is kept as, a
// column map (the layout of a Workday EIB), the check before an export, and how a journal
// is cut where a system takes fewer lines. It does not own the journal (ledger), who may
// export it (app), or the manifest's form (export).
//
// Invariants: a check and an export render the same cells, so an export without problems
// in its check is written and one with any is not written at all; the same journal and
// mapping are the same bytes; each external id in a file balances, and parts of a journal
// sum to it by account; text a spreadsheet would take for a formula is refused, never
// altered; codes keep their leading zeros; no float.
//
// Words: journal, entry, line, document (what the system will call one journal), key (a
// short id made from a document's), mapping, rule, field (of theirs), source (of ours),
// column map, problem.
package erp
