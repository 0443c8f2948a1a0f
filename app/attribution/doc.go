// Package attribution decides which placements a request is charged to, and says
// why.
//
// It owns the facts a rule may look at, the order in which they are asked and the
// answer: placements with shares, and the rule that gave it. It does not own the
// tree (hierarchy) nor the numbered snapshot it runs on (app).
//
// Invariants: every request gets an answer; shares are parts per million and sum
// to exactly 1,000,000; a declared project is believed only below the key's cost
// center or where the key names it; what cannot be placed goes to suspense.
//
// Words: facts, rule, share, suspense.
package attribution
