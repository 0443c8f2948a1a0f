// Package provider is what the provider itself reports of an organization: its usage and
// cost of a UTC day, and its keys and workspaces by name.
//
// It owns the form of a page of each report (analytics and legacy), the Figure that rows
// become, the Reading that adds pages up, and the archive that hands them to others with
// what they are held to. It does not own how pages are fetched
// (jobs/anthropicadmin), where their bytes are kept (db) or what a difference from our own
// figures means (reconcile).
//
// Invariants: an amount is exact, in pico-dollars: a report's decimal cents with more than
// ten decimals that are not zero are refused, never rounded. Nothing is lost silently: a
// kind of cost or a counter that is not known becomes a figure of a class of its own (see
// Known), and a member that cannot be a figure is named in Unread. Nothing is counted
// twice: a row that comes again, on the same page or a later one, and a cursor that leads
// back, end a reading with an error. Sums do not depend on how rows were cut into pages.
//
// Words: report, figure, class, page, cursor (what asks for the next page), reading, unread.
package provider
