// Package attribution decides which placements a request is charged to, and says
// why.
//
// It owns the facts a rule may look at, the tenant's rules (their document, its
// bounds and what is wrong with it), the order in which everything is asked, and the
// answer: placements with shares, and the rule that gave it; and what has to be posted
// so that a request lies elsewhere from then on. It does not own the
// tree (hierarchy) nor the numbered snapshot it runs on (app).
//
// A tenant's rules come first, in their order: the first whose conditions all hold
// decides. Where none fires it is the declared project within the key's reach, else
// the key's cost center, else suspense.
//
// Invariants: every request gets an answer; shares are parts per million and sum
// to exactly 1,000,000; a declared project is believed only below the key's cost
// center or where the key names it, unless a rule says otherwise; what cannot be
// placed goes to suspense. What is known of a credential is looked at once for each
// snapshot, and deciding allocates nothing where no project is declared.
//
// A request that is restated leaves its placements and arrives at others in every figure,
// exactly.
//
// Words: facts, rule, condition, share, suspense, portion.
package attribution
