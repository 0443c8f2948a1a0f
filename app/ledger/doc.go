// Package ledger is double entry over charges.
//
// It owns the closed chart of accounts, Entry and its Lines, what balance means, how a
// day's charges become an accrual, and reversal. It does not own charges (pricing,
// rollups), months (period), nor what an account is called in somebody's ERP: a line says
// the account of ours and the general ledger account that its node states.
//
// Invariants: an entry balances per entity and currency; a line's cents are a debit above
// zero and a credit below; nothing is edited: a correction is another entry that names the
// day, a reversal one that names the entry, and nothing is reversed twice. A day's expense
// lines depend on that day's charges alone, each within a cent of its exact amount; the
// liability is the rounded sum of all days of its month; what lies between is on the
// rounding account.
//
// Words: account, entry, line, debit, credit, accrual, correction, reversal, payer (the
// entity that holds the provider's workspace), basis (the exact charge of a line).
package ledger
