// Package focus writes charges as FOCUS 1.2, the FinOps Open Cost and Usage Specification,
// as CSV and as Parquet.
//
// It owns the rows and columns of that format, its rules as a check before an export, and
// both encodings. Columns are the 1.2 ones that Tollbook has something to say in, in the
// specification's order, then our own, which begin with x_; columns of capabilities that
// Tollbook does not claim (commitment discounts, capacity reservations, pricing currencies,
// availability zones, account types) are left out, as the specification asks. The file
// columns-1.2.csv lists its columns, presence and allowed values. It does not own where the
// charges come from (app) or the manifest's form (export).
//
// Invariants: an export with a problem in its check is not written at all; unit price times
// quantity is the cost, exactly, for list and contract; billed costs sum to each invoice's
// payable amount; the same rows are the same bytes; decimals are exact, never float.
//
// In CSV a text that a spreadsheet would take for a formula gets an apostrophe before it;
// figures, times and JSON never do. Parquet holds every text as it is, decimals with 18
// places of 38 digits, and times in UTC milliseconds.
//
// Words: row, decimal, charge period, billing period, SKU, dataset, problem.
package focus
