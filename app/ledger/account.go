package ledger

import "slices"

// Account is one of the closed chart. What it is in an ERP is mapped where it is exported.
type Account string

// The accounts.
const (
	// AccountExpense is usage that is expensed, by node.
	AccountExpense Account = "expense"
	// AccountCapitalized is usage that becomes part of an asset, by node.
	AccountCapitalized Account = "capitalized_asset"
	// AccountSuspense is usage that no rule could place.
	AccountSuspense Account = "suspense"
	// AccountSharedPool is cost that several nodes share until it is allocated.
	AccountSharedPool Account = "shared_pool"
	// AccountRounding is what lies between lines in cents and the rounded sum of a month.
	AccountRounding Account = "rounding"
	// AccountResidual is what an invoice differs by from the charges, once it is explained.
	AccountResidual Account = "reconciliation_residual"
	// AccountAccrued is what is owed to the provider for a workspace until its invoice is posted.
	AccountAccrued Account = "accrued_liability"
	// AccountPayable is what invoices say is owed to the provider. Where an ERP takes the bill
	// itself, it is mapped to the account that the bill clears.
	AccountPayable Account = "payable"
	// AccountDueFrom is what another entity owes.
	AccountDueFrom Account = "intercompany_due_from"
	// AccountDueTo is what is owed to another entity.
	AccountDueTo Account = "intercompany_due_to"
)

// Accounts lists the chart in the order of a trial balance: costs, assets, liabilities.
func Accounts() []Account {
	return []Account{
		AccountExpense, AccountSharedPool, AccountResidual, AccountRounding, AccountSuspense, AccountCapitalized, AccountDueFrom, AccountDueTo, AccountAccrued, AccountPayable,
	}
}

// Known tells whether an account is of the chart.
func (a Account) Known() bool { return slices.Contains(Accounts(), a) }

// OfCharges tells whether an account holds what was charged, by node, rather than what is
// owed for it.
func (a Account) OfCharges() bool {
	return a == AccountExpense || a == AccountCapitalized || a == AccountSuspense
}

// Kind is why an entry was made.
type Kind string

// The kinds of entries.
const (
	KindAccrual      Kind = "accrual"      // a day's charges, the first time
	KindCorrection   Kind = "correction"   // of a day that was posted: late usage, adjustments
	KindReversal     Kind = "reversal"     // of the entry it names
	KindResidual     Kind = "residual"     // of a reconciliation
	KindIntercompany Kind = "intercompany" // between entities, apart from an accrual
	KindSuspense     Kind = "suspense"     // out of suspense, apart from an adjustment
	KindInvoice      Kind = "invoice"      // an invoice in the place of what was accrued for its cycle
)

// Kinds lists the kinds of entries.
func Kinds() []Kind {
	return []Kind{KindAccrual, KindCorrection, KindReversal, KindResidual, KindIntercompany, KindSuspense, KindInvoice}
}

// Treatment is whether cost is charged to the entities and nodes that caused it, or stays
// with the payer and is only shown.
type Treatment string

// The treatments.
const (
	// Chargeback books each line in the entity of its node, with what entities owe one another.
	Chargeback Treatment = "chargeback"
	// Showback books all of it in the payer's entity; lines still name their nodes.
	Showback Treatment = "showback"
)
